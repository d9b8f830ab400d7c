/* The command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum mode { MODE_UPSTREAM, MODE_CONNECT, MODE_ECHO, MODE_DOWN, MODE_UP, MODE_IDLE, MODE_GET, MODE_ONCE, MODE_PUT };
enum { MAX_PORTS = 16, MAX_ECHO_BYTES = 16384, MAX_BODY_BYTES = 1 << 26 };

struct options {
    enum mode mode;
    const char *mode_name;
    uint16_t ports[MAX_PORTS]; /* a client uses the first */
    int port_count;
    int connections;
    double seconds, warmup_seconds;
    uint32_t bytes;
    const char *server_name, *host;
    bool hello;  /* begin with a ClientHello that nobody answers */
    bool reset;  /* connect: close with a reset, not in order */
    bool tls, resume, verify;
    const char *roots, *certificate, *key;
};

bool speaks_http(enum mode mode);

/* Ends the process with status 2 and one line if the command line is no good. */
struct options options_parse(int argc, char **argv);

#endif
