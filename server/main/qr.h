/* qr.h - a text as a QR code of half blocks, on stdout. */
#ifndef SERVER_MAIN_QR_H
#define SERVER_MAIN_QR_H

/* Prints nothing if the text is too long for one. */
void qr_print(const char *text);

#endif
