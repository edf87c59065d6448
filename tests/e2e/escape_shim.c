/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: what somebody would try whose code runs in a thread of the
 * daemon that serves connections. It is tried once, at the first connection
 * after the file ESCAPE_WHEN is there; ESCAPE_LOG gets a line for each attempt,
 * "ok" or an errno. The last one, starting a program, only when ESCAPE_WHEN is
 * not empty.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool done;

static void
tell(FILE *log, const char *what, long result)
{
	(void)fprintf(
	    log, "%s: %s\n", what, result >= 0 ? "ok" : strerror(errno));
	(void)fflush(log);
}

static long
connect_tcp(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(getenv("ESCAPE_PORT"))),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static long
new_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static void
escape(const char *folder)
{
	FILE *log = fopen(getenv("ESCAPE_LOG"), "we");
	char path[4096];

	if (log == NULL)
		abort();
	(void)snprintf(path, sizeof(path), "%s/escaped", folder);
	tell(log, "make a file", open(path, O_WRONLY | O_CREAT, 0600));
	tell(log, "make a folder", mkdir(path, 0700));
	tell(log, "make a link", symlink("/etc/passwd", path));
	(void)snprintf(path, sizeof(path), "%s/victim", folder);
	tell(log, "write a file", open(path, O_WRONLY | O_APPEND));
	tell(log, "remove a file", unlink(path));
	tell(log, "read a file", open(path, O_RDONLY));
	tell(log, "connect", connect_tcp());
	tell(log, "new process", new_process());
	tell(log, "mknod", syscall(SYS_mknod, path, S_IFIFO | 0600, 0));
	tell(log, "setuid", setuid(0));
	tell(log, "unshare", syscall(SYS_unshare, 0x10000000));
}

__attribute__((visibility("default"))) int
accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	void *symbol = dlsym(RTLD_NEXT, "accept4");
	int (*f)(int, struct sockaddr *, socklen_t *, int);
	const char *when = getenv("ESCAPE_WHEN");
	struct stat st;
	char *argv[] = { NULL };
	int rc;

	if (symbol == NULL)
		abort();
	memcpy(&f, &symbol, sizeof(symbol));
	rc = f(fd, addr, len, flags);
	if (rc < 0 || when == NULL || stat(when, &st) != 0)
		return rc;
	if (!atomic_exchange(&done, true))
		escape(getenv("ESCAPE_FOLDER"));
	if (st.st_size > 0)
		(void)execve("/bin/true", argv, argv);
	return rc;
}
