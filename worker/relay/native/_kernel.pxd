"""What the relay loop calls of the C library, the compiler and the kernel.

Belongs here: declarations. Never here: a line of code.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

# Numbers that one thread writes while others read: whole at any time, in no order with other memory.
cdef extern from * nogil:
    """
    #define lockgate_count_up(number, more) __atomic_store_n((number), *(number) + (more), __ATOMIC_RELAXED)
    #define lockgate_counted(number) __atomic_load_n((number), __ATOMIC_RELAXED)
    #define lockgate_count_shared(number, more) __atomic_add_fetch((number), (more), __ATOMIC_ACQ_REL)
    #define lockgate_counted_shared(number) __atomic_load_n((number), __ATOMIC_ACQUIRE)
    """
    void count_up "lockgate_count_up" (uint64_t *number, uint64_t more)
    uint64_t counted "lockgate_counted" (const uint64_t *number)
    # Numbers that several write: what it is now.
    int64_t count_shared "lockgate_count_shared" (int64_t *number, int64_t more)
    int64_t counted_shared "lockgate_counted_shared" (const int64_t *number)

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_create(pthread_t *thread, void *attributes, void *(*run)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)
    int pthread_setname_np(pthread_t thread, const char *name)
    int pthread_mutex_init(pthread_mutex_t *mutex, void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    enum: SIG_SETMASK
    int sigfillset(sigset_t *signals)
    int pthread_sigmask(int how, const sigset_t *signals, sigset_t *before)

cdef extern from "<time.h>" nogil:
    enum: CLOCK_MONOTONIC
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *now)

cdef extern from "<unistd.h>" nogil:
    int close(int fd)
    ssize_t write(int fd, const void *data, size_t size)
    ssize_t read(int fd, void *into, size_t size)

cdef extern from "<sys/eventfd.h>" nogil:
    enum: EFD_CLOEXEC
    enum: EFD_NONBLOCK
    int eventfd(unsigned int value, int flags)

cdef extern from "<sys/epoll.h>" nogil:
    enum: EPOLL_CLOEXEC
    enum: EPOLL_CTL_ADD
    enum: EPOLL_CTL_DEL
    enum: EPOLLIN
    enum: EPOLLOUT
    enum: EPOLLPRI
    enum: EPOLLRDHUP
    enum: EPOLLERR
    enum: EPOLLHUP
    unsigned int EPOLLET
    ctypedef union epoll_data_t:
        void *ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int most, int timeout_ms)

cdef extern from "<sys/socket.h>" nogil:
    enum: SOCK_STREAM
    enum: SOCK_NONBLOCK
    enum: SOCK_CLOEXEC
    enum: SOL_SOCKET
    enum: SO_ERROR
    enum: SO_LINGER
    enum: MSG_PEEK
    enum: MSG_DONTWAIT
    ctypedef unsigned int socklen_t
    struct sockaddr:
        unsigned short sa_family
    struct sockaddr_storage:
        unsigned short ss_family
    struct linger:
        int l_onoff
        int l_linger
    int accept4(int listening, sockaddr *address, socklen_t *size, int flags)
    ssize_t recv(int fd, void *into, size_t size, int flags)
    int socket(int family, int kind, int protocol)
    int connect(int fd, const sockaddr *address, socklen_t size)
    int getsockopt(int fd, int level, int option, void *value, socklen_t *size)
    int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
    int getsockname(int fd, sockaddr *address, socklen_t *size)
    int getpeername(int fd, sockaddr *address, socklen_t *size)
