/* model_embed.h - inside of the model module: the model files, compiled in as they are. */
#ifndef COMMON_MODEL_EMBED_H
#define COMMON_MODEL_EMBED_H

#include "common/bytes.h"

/* The text of the system tables, in the form of a model file. Static. */
struct bytes model_system_json(void);

#endif
