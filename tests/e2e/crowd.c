/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd SOCKET COUNT REQUESTS: makes so many connections that say hello and no
 * more, then, beside them, so many requests on one of its own; says how many
 * connections were taken, and the median, the 99th percentile and the longest
 * of the round trips in microseconds:
 *
 *	taken 10000 p50 42 p99 120 max 800
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* SP: REQ (0x30) says hello, and so does REP (0x31). */
static const uint8_t hello[8] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };

/* {"op": "sys.status", "in": {}}, behind the id of the request. */
static const uint8_t request[] = { 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x80, 0, 0, 1,
	0xa2, 0x62, 'o', 'p', 0x6a, 's', 'y', 's', '.', 's', 't', 'a', 't', 'u',
	's', 0x62, 'i', 'n', 0xa0 };

static void
fail(const char *what)
{
	(void)fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static bool
exchange(int fd, const void *out, size_t out_len, void *in, size_t in_len)
{
	return send(fd, out, out_len, MSG_NOSIGNAL) == (ssize_t)out_len &&
	    recv(fd, in, in_len, MSG_WAITALL) == (ssize_t)in_len;
}

/* A connection on which both sides said hello, or -1. */
static int
join(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	uint8_t theirs[8];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    exchange(fd, hello, sizeof(hello), theirs, sizeof(theirs)))
		return fd;
	(void)close(fd);
	return -1;
}

static void
ask(int fd)
{
	uint8_t head[9], reply[65536];
	size_t len = 0;

	if (!exchange(fd, request, sizeof(request), head, sizeof(head)))
		fail("request");
	for (int i = 1; i < 9; i++)
		len = len << 8 | head[i];
	if (len > sizeof(reply) ||
	    recv(fd, reply, len, MSG_WAITALL) != (ssize_t)len)
		fail("reply");
}

static long
now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int
by_value(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	long count = argc == 4 ? atol(argv[2]) : 0;
	long requests = argc == 4 ? atol(argv[3]) : 0;
	struct rlimit files;
	long taken = 0;
	long *took;
	int fd;

	if (count <= 0 || requests <= 0) {
		(void)fprintf(stderr, "crowd SOCKET COUNT REQUESTS\n");
		return 1;
	}
	(void)getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	fd = join(argv[1]);
	if (fd < 0)
		fail("first connection");
	for (long i = 0; i < count; i++)
		taken += join(argv[1]) >= 0; /* stays until the end */
	took = calloc((size_t)requests, sizeof(*took));
	if (took == NULL)
		fail("memory");
	for (long i = 0; i < requests; i++) {
		long start = now_us();

		ask(fd);
		took[i] = now_us() - start;
	}
	qsort(took, (size_t)requests, sizeof(*took), by_value);
	(void)printf("taken %ld p50 %ld p99 %ld max %ld\n", taken,
	    took[requests / 2], took[requests * 99 / 100], took[requests - 1]);
	(void)fflush(stdout);
	free(took);
	if (getchar() == EOF) /* until the one who started us has looked */
		return 0;
	return 0;
}
