/* One connection of a client: a socket, and TLS on it or not. Nothing here blocks. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct channel {
    int fd;
    SSL *ssl; /* NULL: plain */
};

/* What reading and writing return besides a number of bytes. `ENDED` is the peer's orderly end. */
enum { CHANNEL_ENDED = 0, CHANNEL_AGAIN = -1, CHANNEL_FAILED = -2 };

/* Why a connection was lost; `failure_names` has their names in this order. */
enum failure {
    FAIL_REFUSED, FAIL_RESET, FAIL_ENDED_EARLY, FAIL_TLS, FAIL_WRONG_BYTES, FAIL_STALLED, FAIL_OTHER, FAILURES
};
extern const char *const failure_names[FAILURES];

/* A socket that connects to 127.0.0.1:port, from one of a thousand addresses of 127.0.0.0/8, as one address has
 * ports for 28,000 connections only. -1 and errno, if it cannot even begin. */
int channel_connect(uint16_t port);

/* TLS on it, as a client; with a session to resume, or NULL. False if memory is short. */
bool channel_begin_tls(struct channel *c, SSL_CTX *context, const char *server_name, SSL_SESSION *session);

/* 1 when the handshake is over, else as above. */
int channel_handshake(struct channel *c);
ssize_t channel_read(struct channel *c, void *into, size_t length);
ssize_t channel_write(struct channel *c, const void *from, size_t length);
/* Whether bytes wait inside OpenSSL, of which epoll knows nothing. */
bool channel_holds_bytes(const struct channel *c);

/* Say that nothing more comes: close_notify, then FIN. */
void channel_finish(struct channel *c);
/* Once no more is expected: 1 if the peer has ended (TLS: by close_notify, as some servers wait for ours before
 * they send FIN), 0 if not yet, CHANNEL_FAILED if it reset the connection. */
int channel_finished(struct channel *c);
/* Let go of it; with a reset, or whatever the kernel thinks right. */
void channel_close(struct channel *c, bool reset);

/* Why the call before this one failed. */
enum failure channel_why(const struct channel *c);

/* Mutual TLS 1.3 with one cipher suite and one group, so that every proxy does the same work. Ends the process
 * with one line if a file is no good. `verify`: check the server's chain (its name is a URI, which is not). */
SSL_CTX *channel_context(const char *roots, const char *certificate, const char *key, bool verify);

#endif
