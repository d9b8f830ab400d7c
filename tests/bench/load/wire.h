/* What client and upstream say to each other.
 *
 * A client may begin with one TLS record (a ClientHello, for a proxy that routes by its SNI); the upstream
 * skips it. Then come frames of FRAME_BYTES: an operation, three zeros, a length in network order.
 *   REPLY n: the upstream sends n bytes of the pattern     STREAM: it sends for ever
 *   LAST n:  the same, and then it ends the connection
 *   ECHO n:  n bytes follow, and come back                 SINK: everything else is thrown away, and every
 *                                                          ACK_BYTES one byte says so
 * Or it begins with GET or POST: then it is HTTP/1.1, whose path says how many bytes of the pattern are wanted.
 */
#ifndef WIRE_H
#define WIRE_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

enum { FRAME_BYTES = 8, ACK_BYTES = 1 << 20, CHUNK_BYTES = 1 << 18, TLS_HANDSHAKE_RECORD = 22 };
enum operation { OP_REPLY = 'R', OP_LAST = 'L', OP_ECHO = 'E', OP_STREAM = 'S', OP_SINK = 'K' };

static inline void frame_write(uint8_t *at, enum operation operation, uint32_t length) {
    uint32_t order = htonl(length);
    memset(at, 0, FRAME_BYTES);
    at[0] = (uint8_t)operation;
    memcpy(at + 4, &order, sizeof order);
}

static inline uint32_t frame_length(const uint8_t *at) {
    uint32_t order;
    memcpy(&order, at + 4, sizeof order);
    return ntohl(order);
}

/* The bytes that are sent and compared: byte i is i mod 251, so that a shift shows. */
static inline void pattern_fill(uint8_t *at, size_t length) {
    for (size_t i = 0; i < length; i++) at[i] = (uint8_t)(i % 251);
}

#endif
