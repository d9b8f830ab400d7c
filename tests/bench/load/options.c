#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: lockload upstream --port P [--port P ...]\n"
    "       lockload connect|echo|down|up|idle|get|once|put --port P [options]\n"
    "  connect  a new connection for each answer of --bytes (default 1024), after which the upstream ends it\n"
    "  echo     --bytes (default 100) to and fro on connections that stay\n"
    "  down up  streams from or to the upstream\n"
    "  idle     opens connections, prints {\"ready\": N}, holds them until standard input ends\n"
    "  get put  HTTP/1.1 with answers or bodies of --bytes (default 1024) on connections that stay; once: a new one each\n"
    "  --connections N  --seconds S  --warmup S (default 0.25)  --bytes N\n"
    "  --sni NAME       the server name; with it and without --tls, a ClientHello comes first and the rest is plain\n"
    "  --reset          connect: the client ends it, with a reset\n"
    "  --tls --cert FILE --key FILE --roots FILE   mutual TLS 1.3; --verify checks the server's chain\n"
    "  --resume         connect: offer the session that the connection before it left\n"
    "One JSON object on standard output, once it is over.\n";

static _Noreturn void refuse(const char *what, const char *value) {
    fprintf(stderr, "lockload: %s%s%s; --help tells more\n", what, *value ? ": " : "", value);
    exit(2);
}

static double number(const char *text, double least, double most) {
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value >= least && value <= most)) refuse("not a number within bounds", text);
    return value;
}

static enum mode mode_of(const char *name) {
    static const char *const names[] = {"upstream", "connect", "echo", "down", "up", "idle", "get", "once", "put"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return (enum mode)i;
    refuse("no such mode", name);
}

enum { CONNECTIONS = 256, SECONDS, WARMUP, BYTES, PORT, SNI, RESET, TLS, CERT, KEY, ROOTS, VERIFY, RESUME, HOST, HELP };

static const struct option known[] = {
    {"connections", required_argument, 0, CONNECTIONS}, {"seconds", required_argument, 0, SECONDS},
    {"warmup", required_argument, 0, WARMUP}, {"bytes", required_argument, 0, BYTES},
    {"port", required_argument, 0, PORT}, {"sni", required_argument, 0, SNI},
    {"reset", no_argument, 0, RESET}, {"tls", no_argument, 0, TLS},
    {"cert", required_argument, 0, CERT}, {"key", required_argument, 0, KEY},
    {"roots", required_argument, 0, ROOTS}, {"verify", no_argument, 0, VERIFY},
    {"resume", no_argument, 0, RESUME}, {"host", required_argument, 0, HOST}, {"help", no_argument, 0, HELP}, {0, 0, 0, 0}};

static void add_port(struct options *o, const char *text) {
    if (o->port_count == MAX_PORTS) refuse("too many ports", text);
    o->ports[o->port_count++] = (uint16_t)number(text, 1, 65535);
}

static void take(struct options *o, int option, const char *value) {
    switch (option) {
    case CONNECTIONS: o->connections = (int)number(value, 1, 19000); break;
    case SECONDS: o->seconds = number(value, 0.01, 86400); break;
    case WARMUP: o->warmup_seconds = number(value, 0, 60); break;
    case BYTES: o->bytes = (uint32_t)number(value, 1, MAX_BODY_BYTES); break;
    case PORT: add_port(o, value); break;
    case SNI: o->server_name = value; break;
    case RESET: o->reset = true; break;
    case TLS: o->tls = true; break;
    case CERT: o->certificate = value; break;
    case KEY: o->key = value; break;
    case ROOTS: o->roots = value; break;
    case VERIFY: o->verify = true; break;
    case RESUME: o->resume = true; break;
    case HOST: o->host = value; break;
    case HELP: fputs(usage, stdout); exit(0);
    default: exit(2); /* getopt has said why */
    }
}

bool speaks_http(enum mode mode) { return mode == MODE_GET || mode == MODE_ONCE || mode == MODE_PUT; }

static void check(struct options *o) {
    if (!o->port_count) refuse("--port is missing", "");
    if (o->server_name && strlen(o->server_name) > 200) refuse("the server name is too long", o->server_name);
    if (o->tls && !(o->certificate && o->key && o->roots && o->server_name))
        refuse("--tls needs --cert, --key, --roots and --sni", "");
    if (o->resume && !o->tls) refuse("--resume needs --tls", "");
    bool http = speaks_http(o->mode);
    if (o->mode != MODE_ONCE && o->mode != MODE_CONNECT && o->resume) refuse("--resume is for new connections", "");
    if (o->host && strlen(o->host) > 200) refuse("the host is too long", o->host);
    if (!o->host) o->host = "localhost";
    if (!http && o->bytes > MAX_ECHO_BYTES) refuse("--bytes is too many for", o->mode_name);
    o->hello = o->server_name && !o->tls && !http;
    if (!o->bytes) o->bytes = http || o->mode == MODE_CONNECT ? 1024 : 100;
}

struct options options_parse(int argc, char **argv) {
    struct options o = {.connections = 1, .seconds = 1, .warmup_seconds = 0.25};
    if (argc < 2) refuse("no mode", "");
    if (!strcmp(argv[1], "--help")) fputs(usage, stdout), exit(0);
    o.mode = mode_of(argv[1]);
    o.mode_name = argv[1];
    for (int option; (option = getopt_long(argc - 1, argv + 1, "", known, 0)) != -1;) take(&o, option, optarg);
    if (optind != argc - 1) refuse("too many arguments", argv[optind + 1]);
    check(&o);
    return o;
}
