/* A quota that is used up, or a full disk, from the Nth write below a folder on, in whichever process.

Preloaded. Counts every call that needs room: writes, new files and folders, links, names and growth. The count and N
are two numbers in a file that the processes share.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static long *shared;
static const char *folder;
static int number;

__attribute__((constructor)) static void begin(void)
{
    const char *counter = getenv("WATTSWEEP_TEST_COUNTER");
    folder = getenv("WATTSWEEP_TEST_BELOW");
    if (counter == NULL || folder == NULL)
        return;
    int file = open(counter, O_RDWR | O_CLOEXEC);
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, 2 * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (found == MAP_FAILED)
        abort();
    close(file);
    number = atoi(getenv("WATTSWEEP_TEST_ERRNO"));
    shared = found;
}

static int below(const char *path)
{
    return shared != NULL && strncmp(path, folder, strlen(folder)) == 0;
}

/* Whether a file descriptor, or the path that is relative to it, lies below the folder. */
static int lies_below(int file, const char *path)
{
    char link[64], name[PATH_MAX], whole[2 * PATH_MAX];
    if (shared == NULL)
        return 0;
    if (path != NULL && path[0] == '/')
        return below(path);
    if (file == AT_FDCWD) {
        if (getcwd(name, sizeof name) == NULL)
            return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        ssize_t length = readlink(link, name, sizeof name - 1);
        if (length < 0)
            return 0;
        name[length] = 0;
    }
    if (path == NULL)
        return below(name);
    snprintf(whole, sizeof whole, "%s/%s", name, path);
    return below(whole);
}

/* Count a call below the folder; whether it has to fail. */
static int used_up(int file, const char *path)
{
    if (!lies_below(file, path))
        return 0;
    if (__atomic_add_fetch(&shared[0], 1, __ATOMIC_SEQ_CST) < shared[1])
        return 0;
    errno = number;
    return 1;
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *bytes, size_t count)
{
    return used_up(file, NULL) ? -1 : REAL(write)(file, bytes, count);
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    return used_up(file, NULL) ? -1 : REAL(writev)(file, parts, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset)
{
    return used_up(file, NULL) ? -1 : REAL(pwrite)(file, bytes, count, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset)
{
    return used_up(file, NULL) ? -1 : REAL(pwrite64)(file, bytes, count, offset);
}

/* Copies within the kernel: a caller goes back to write(2). */
ssize_t sendfile(int to, int from, off_t *offset, size_t count)
{
    errno = ENOSYS;
    return -1;
}

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *place, size_t count, unsigned int flags)
{
    errno = ENOSYS;
    return -1;
}

int mkdir(const char *path, mode_t mode)
{
    return access(path, F_OK) != 0 && used_up(AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}

int rename(const char *from, const char *to)
{
    return used_up(AT_FDCWD, to) ? -1 : REAL(rename)(from, to);
}

int link(const char *from, const char *to)
{
    return used_up(AT_FDCWD, to) ? -1 : REAL(link)(from, to);
}

int symlink(const char *target, const char *path)
{
    return used_up(AT_FDCWD, path) ? -1 : REAL(symlink)(target, path);
}

static int makes_one(int folder_file, const char *path, int flags)
{
    return (flags & O_CREAT) && faccessat(folder_file, path, F_OK, 0) != 0 && used_up(folder_file, path);
}

#define MODE_OF(flags, mode)                                                                                           \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode)
    return makes_one(AT_FDCWD, path, flags) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode)
    return makes_one(AT_FDCWD, path, flags) ? -1 : REAL(open64)(path, flags, mode);
}

int openat(int folder_file, const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode)
    return makes_one(folder_file, path, flags) ? -1 : REAL(openat)(folder_file, path, flags, mode);
}

int openat64(int folder_file, const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode)
    return makes_one(folder_file, path, flags) ? -1 : REAL(openat64)(folder_file, path, flags, mode);
}
