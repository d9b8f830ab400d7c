#include "hello.h"

#include <stdlib.h>
#include <string.h>

struct writer { uint8_t *at; };

static void u8(struct writer *w, unsigned value) { *w->at++ = (uint8_t)value; }
static void u16(struct writer *w, unsigned value) { u8(w, value >> 8); u8(w, value); }
static void noise(struct writer *w, unsigned length) { while (length--) u8(w, (unsigned)rand()); }

/* Room for a length of two bytes, which `end` fills in when the bytes it counts are there. */
static uint8_t *begin(struct writer *w) { uint8_t *mark = w->at; w->at += 2; return mark; }
static void end(struct writer *w, uint8_t *mark) {
    size_t length = (size_t)(w->at - mark) - 2;
    mark[0] = (uint8_t)(length >> 8);
    mark[1] = (uint8_t)length;
}

static void server_name_extension(struct writer *w, const char *name) {
    u16(w, 0); /* server_name, RFC 6066 section 3 */
    uint8_t *extension = begin(w), *list = begin(w);
    u8(w, 0); /* host_name */
    uint8_t *host = begin(w);
    size_t length = strlen(name);
    memcpy(w->at, name, length);
    w->at += length;
    end(w, host);
    end(w, list);
    end(w, extension);
}

static void u16_list_extension(struct writer *w, unsigned type, const uint16_t *values, int count) {
    u16(w, type);
    uint8_t *extension = begin(w), *list = begin(w);
    for (int i = 0; i < count; i++) u16(w, values[i]);
    end(w, list);
    end(w, extension);
}

static void key_share_extension(struct writer *w) {
    u16(w, 51);
    uint8_t *extension = begin(w), *list = begin(w);
    u16(w, 29); /* x25519 */
    uint8_t *share = begin(w);
    noise(w, 32);
    end(w, share);
    end(w, list);
    end(w, extension);
}

static void extensions(struct writer *w, const char *name) {
    static const uint16_t groups[] = {29, 23, 24}, schemes[] = {0x0403, 0x0804, 0x0401};
    uint8_t *all = begin(w);
    server_name_extension(w, name);
    u16_list_extension(w, 10, groups, 3);
    u16_list_extension(w, 13, schemes, 3);
    u16(w, 43), u16(w, 3), u8(w, 2), u16(w, 0x0304); /* supported_versions: TLS 1.3 */
    u16(w, 45), u16(w, 2), u8(w, 1), u8(w, 1);       /* psk_key_exchange_modes: psk_dhe_ke */
    key_share_extension(w);
    end(w, all);
}

size_t hello_write(uint8_t *at, const char *server_name) {
    static const uint16_t suites[] = {0x1301, 0x1302, 0x1303, 0xc02b};
    struct writer w = {at};
    u8(&w, 22), u16(&w, 0x0301); /* handshake record, RFC 8446 section 5.1 */
    uint8_t *record = begin(&w);
    u8(&w, 1), u8(&w, 0); /* client_hello, and the first of its length's three bytes */
    uint8_t *body = begin(&w);
    u16(&w, 0x0303), noise(&w, 32);
    u8(&w, 32), noise(&w, 32); /* session id */
    uint8_t *list = begin(&w);
    for (unsigned i = 0; i < sizeof suites / sizeof *suites; i++) u16(&w, suites[i]);
    end(&w, list);
    u8(&w, 1), u8(&w, 0); /* compression: none */
    extensions(&w, server_name);
    end(&w, body);
    end(&w, record);
    return (size_t)(w.at - at);
}
