/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS handshakes, one after the other in several threads, each from the start:
 *	tls_load PORT THREADS
 * Until SIGTERM. Each that failed makes a line with the milliseconds since the
 * epoch at which it began and ended; the last line is "good N bad N".
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

enum { THREADS_MAX = 32, TIMEOUT_S = 10 };

static volatile sig_atomic_t stop;
static atomic_ulong good, bad;
static struct sockaddr_in server = { .sin_family = AF_INET };
static SSL_CTX *ctx;

static void
on_signal(int number)
{
	(void)number;
	stop = 1;
}

static long long
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int
dial(void)
{
	const struct timeval limit = { .tv_sec = TIMEOUT_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* Complete when the server has proved that it has the key. */
static bool
handshake(void)
{
	int fd = dial();
	SSL *ssl = fd < 0 ? NULL : SSL_new(ctx);
	bool done =
	    ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1;

	if (done)
		(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	if (fd >= 0)
		(void)close(fd);
	return done;
}

static void *
run(void *arg)
{
	(void)arg;
	while (!stop) {
		long long begin = now_ms();

		if (handshake()) {
			good++;
			continue;
		}
		bad++;
		(void)printf("%lld %lld\n", begin, now_ms());
		(void)fflush(stdout);
		(void)usleep(20000);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal };
	pthread_t threads[THREADS_MAX];
	int count = argc == 3 ? atoi(argv[2]) : 0;

	if (count < 1 || count > THREADS_MAX)
		errx(1, "usage: tls_load PORT THREADS");
	server.sin_port = htons((uint16_t)atoi(argv[1]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigaction(SIGTERM, &action, NULL);
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL)
		errx(1, "SSL_CTX_new");
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, run, NULL) != 0)
			errx(1, "pthread_create");
	for (int i = 0; i < count; i++)
		(void)pthread_join(threads[i], NULL);
	SSL_CTX_free(ctx);
	(void)printf("good %lu bad %lu\n", good, bad);
	return 0;
}
