#include "server/main/qr.h"

#include <qrencode.h>
#include <stdbool.h>
#include <stdio.h>

enum { QUIET = 2 }; /* modules around it; scanners live with less than the four of the standard */

static bool is_dark(const QRcode *code, int x, int y)
{
    if (x < 0 || y < 0 || x >= code->width || y >= code->width)
        return false;
    return code->data[y * code->width + x] & 1;
}

void qr_print(const char *text)
{
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    if (!code)
        return;
    /* Light modules are drawn, so that it is dark on light on the usual dark terminal. */
    static const char *const halves[] = {"\u2588", "\u2580", "\u2584", " "};
    for (int y = -QUIET; y < code->width + QUIET; y += 2) {
        fputs("  ", stdout);
        for (int x = -QUIET; x < code->width + QUIET; x++) {
            bool upper = is_dark(code, x, y);
            bool lower = is_dark(code, x, y + 1) || y + 1 >= code->width + QUIET;
            fputs(halves[(upper ? 2 : 0) + (lower ? 1 : 0)], stdout);
        }
        fputc('\n', stdout);
    }
    fputc('\n', stdout);
    QRcode_free(code);
}
