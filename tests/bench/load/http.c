#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

size_t http_request(uint8_t *at, const char *host, bool up, bool last, size_t length) {
    char *text = (char *)at;
    const char *end = last ? "Connection: close\r\n" : "";
    int wrote = up ? snprintf(text, HTTP_HEAD_BYTES,
                              "POST /2 HTTP/1.1\r\nHost: %s\r\nUser-Agent: lockload\r\n%sContent-Length: %zu\r\n\r\n",
                              host, end, length)
                   : snprintf(text, HTTP_HEAD_BYTES,
                              "GET /%zu HTTP/1.1\r\nHost: %s\r\nUser-Agent: lockload\r\nAccept: */*\r\n%s\r\n", length,
                              host, end);
    return (size_t)wrote;
}

static const char *field(const struct message *m, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(m->head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (!strncasecmp(line, name, length) && line[length] == ':') {
            line += length + 1;
            return line + strspn(line, " ");
        }
    }
    return NULL;
}

long message_take_head(struct message *m, const uint8_t *from, size_t length) {
    size_t before = m->have, room = HTTP_HEAD_BYTES - before;
    size_t taken = length < room ? length : room;
    memcpy(m->head + before, from, taken);
    m->head[before + taken] = 0;
    char *end = strstr(m->head + (before < 3 ? 0 : before - 3), "\r\n\r\n");
    if (!end) {
        m->have += taken;
        return m->have == HTTP_HEAD_BYTES ? -1 : (long)taken;
    }
    end[4] = 0;
    m->have = (size_t)(end + 4 - m->head);
    m->has_head = true;
    const char *value = field(m, "content-length");
    m->length = m->left = value ? strtoull(value, NULL, 10) : 0;
    return (long)(m->have - before);
}

bool message_is_good(const struct message *m) { return !strncmp(m->head, "HTTP/1.1 200 ", 13); }

size_t message_wanted(const struct message *m) {
    const char *path = strchr(m->head, ' ');
    return path && path[1] == '/' ? strtoull(path + 2, NULL, 10) : 0;
}

bool message_is_last(const struct message *m) {
    const char *value = field(m, "connection");
    return value && !strncasecmp(value, "close", 5);
}
