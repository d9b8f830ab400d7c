/* A ClientHello as a TLS 1.3 client would send it, for a proxy that routes by the SNI and decrypts nothing.
 * Nobody answers it: what follows it is plain (wire.h). */
#ifndef HELLO_H
#define HELLO_H

#include <stddef.h>
#include <stdint.h>

enum { HELLO_MAX_BYTES = 512 };

/* Writes one TLS record with a hello for this server name (at most 200 bytes); its length. */
size_t hello_write(uint8_t *at, const char *server_name);

#endif
