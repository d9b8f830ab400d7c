#include "channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

const char *const failure_names[FAILURES] = {
    "refused", "reset", "ended_early", "tls", "wrong_bytes", "stalled", "other"};

enum { SOURCE_ADDRESSES = 1000, FIRST_SOURCE = 0x7f010001 /* 127.1.0.1 */ };

static bool set_option(int fd, int level, int name, int value) {
    return !setsockopt(fd, level, name, &value, sizeof value);
}

/* The port is chosen at connect, for the pair of addresses, and not at bind, for the source alone. */
static bool bind_source(int fd) {
    static unsigned next;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(FIRST_SOURCE + next++ % SOURCE_ADDRESSES);
    return set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) &&
           !bind(fd, (struct sockaddr *)&source, sizeof source);
}

int channel_connect(uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) && bind_source(fd) &&
        (!connect(fd, (struct sockaddr *)&to, sizeof to) || errno == EINPROGRESS))
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

bool channel_begin_tls(struct channel *c, SSL_CTX *context, const char *server_name, SSL_SESSION *session) {
    c->ssl = SSL_new(context);
    if (!c->ssl) return false;
    SSL_set_connect_state(c->ssl);
    return SSL_set_fd(c->ssl, c->fd) == 1 && SSL_set_tlsext_host_name(c->ssl, server_name) == 1 &&
           (!session || SSL_set_session(c->ssl, session) == 1);
}

static int tls_result(struct channel *c, int returned) {
    int saved = errno;
    switch (SSL_get_error(c->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return CHANNEL_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return CHANNEL_ENDED;
    default: errno = saved; return CHANNEL_FAILED;
    }
}

static ssize_t plain_result(ssize_t returned) {
    if (returned >= 0) return returned;
    return errno == EAGAIN || errno == EINTR ? CHANNEL_AGAIN : CHANNEL_FAILED;
}

int channel_handshake(struct channel *c) {
    ERR_clear_error();
    errno = 0;
    int returned = SSL_do_handshake(c->ssl);
    return returned == 1 ? 1 : tls_result(c, returned);
}

ssize_t channel_read(struct channel *c, void *into, size_t length) {
    if (!c->ssl) return plain_result(recv(c->fd, into, length, 0));
    ERR_clear_error();
    errno = 0;
    int returned = SSL_read(c->ssl, into, (int)length);
    return returned > 0 ? returned : tls_result(c, returned);
}

ssize_t channel_write(struct channel *c, const void *from, size_t length) {
    if (!c->ssl) return plain_result(send(c->fd, from, length, MSG_NOSIGNAL));
    ERR_clear_error();
    errno = 0;
    int returned = SSL_write(c->ssl, from, (int)length);
    return returned > 0 ? returned : tls_result(c, returned);
}

bool channel_holds_bytes(const struct channel *c) { return c->ssl && SSL_has_pending(c->ssl); }

void channel_finish(struct channel *c) {
    if (c->ssl) SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
}

/* The answer is whole, so an end without close_notify, which OpenSSL takes for an error, is an end as well. */
int channel_finished(struct channel *c) {
    uint8_t rest[4096];
    ssize_t got;
    while ((got = channel_read(c, rest, sizeof rest)) > 0) continue;
    if (got == CHANNEL_AGAIN) return 0;
    return got == CHANNEL_ENDED || errno == 0 ? 1 : CHANNEL_FAILED;
}

void channel_close(struct channel *c, bool reset) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (c->ssl) {
        /* A session that was not shut down is marked as not to be resumed when its connection is freed. */
        if (SSL_is_init_finished(c->ssl)) SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(c->ssl);
    }
    if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(c->fd);
    c->ssl = NULL;
    c->fd = -1;
}

enum failure channel_why(const struct channel *c) {
    switch (errno) {
    case ECONNREFUSED: return FAIL_REFUSED;
    case ECONNRESET:
    case EPIPE: return FAIL_RESET;
    case 0: return c->ssl && ERR_peek_error() ? FAIL_TLS : FAIL_ENDED_EARLY;
    default: return c->ssl && ERR_peek_error() ? FAIL_TLS : FAIL_OTHER;
    }
}

static SSL_CTX *configure(SSL_CTX *x, const char *roots, const char *certificate, const char *key, bool verify) {
    SSL_CTX_set_mode(x, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(x, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(x, 1);
    SSL_CTX_set_default_read_buffer_len(x, 4 * 16709); /* four records of full size for each system call */
    bool good = SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION) == 1 &&
                SSL_CTX_set_ciphersuites(x, "TLS_AES_128_GCM_SHA256") == 1 &&
                SSL_CTX_set1_groups_list(x, "X25519") == 1 &&
                SSL_CTX_load_verify_locations(x, roots, NULL) == 1 &&
                SSL_CTX_use_certificate_chain_file(x, certificate) == 1 &&
                SSL_CTX_use_PrivateKey_file(x, key, SSL_FILETYPE_PEM) == 1;
    return good ? x : NULL;
}

SSL_CTX *channel_context(const char *roots, const char *certificate, const char *key, bool verify) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context && configure(context, roots, certificate, key, verify)) return context;
    fprintf(stderr, "lockload: TLS cannot be set up: %s\n", ERR_reason_error_string(ERR_peek_last_error()));
    exit(2);
}
