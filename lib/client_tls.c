/* SPDX-License-Identifier: Apache-2.0 */
#include "client_tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <holdfast/holdfast.h>

#include "buffer.h"
#include "bytes.h"
#include "tls_path.h"

enum { FILE_MAX = 1 << 20, FILE_STEP = 8192 };

struct client_tls {
	const struct tls_provider *provider;
	struct tls_session *session;
	char *ca, *certificate, *key, *server_name;
	bool allow_tls12;
};

/* -- Settings -- */

static bool
is_set(const char *s)
{
	return s != NULL && *s != '\0';
}

enum hf_err
client_tls_missing(struct hf_why *why)
{
	return hf_fail(why, HF_ERR_BAD_SETTINGS,
	    "tls+tcp:// needs the service's CA, a client certificate and its "
	    "key: HOLDFAST_TLS_CA, _CERTIFICATE and _KEY");
}

static enum hf_err
check_settings(const struct hf_tls *t, struct hf_why *why)
{
	static const char uri[] = "pkcs11:";

	if (!is_set(t->ca) || !is_set(t->certificate) || !is_set(t->key))
		return client_tls_missing(why);
	if (strncmp(t->key, uri, sizeof(uri) - 1) == 0 ||
	    strncmp(t->certificate, uri, sizeof(uri) - 1) == 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the client's certificate and key are files: to ask a "
		    "PKCS#11 module for the way to itself has no end");
	return HF_OK;
}

enum hf_err
client_tls_new(const struct hf_tls *settings, const char *host,
    struct client_tls **out, struct hf_why *why)
{
	struct client_tls *tls;
	enum hf_err err = check_settings(settings, why);

	if (err != HF_OK)
		return err;
	if ((tls = calloc(1, sizeof(*tls))) == NULL)
		return HF_ERR_NO_MEMORY;
	tls->ca = strdup(settings->ca);
	tls->certificate = strdup(settings->certificate);
	tls->key = strdup(settings->key);
	tls->server_name = strdup(
	    is_set(settings->server_name) ? settings->server_name : host);
	tls->allow_tls12 = settings->allow_tls12;
	if (tls->ca == NULL || tls->certificate == NULL || tls->key == NULL ||
	    tls->server_name == NULL) {
		client_tls_free(tls);
		return HF_ERR_NO_MEMORY;
	}
	*out = tls;
	return HF_OK;
}

void
client_tls_free(struct client_tls *tls)
{
	if (tls == NULL)
		return;
	client_tls_end(tls, false);
	free(tls->ca);
	free(tls->certificate);
	free(tls->key);
	free(tls->server_name);
	free(tls);
}

/* -- Files -- */

/*
 * Looks at the file that is open: a name could stand for another one by then.
 * O_NONBLOCK: a FIFO must not make anybody wait.
 */
static enum hf_err
open_file(const char *path, bool is_secret, int *out, struct hf_why *why)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS, "%s: %s", path,
		    strerrordesc_np(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return hf_fail(
		    why, HF_ERR_BAD_SETTINGS, "%s: not a file", path);
	}
	if (is_secret && (st.st_mode & S_IRWXO) != 0) {
		(void)close(fd);
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s: others may use this private key; chmod o= it", path);
	}
	*out = fd;
	return HF_OK;
}

static enum hf_err
read_all(int fd, struct buffer *out)
{
	enum hf_err err;

	while (out->len < FILE_MAX) {
		ssize_t n;

		if (out->len == out->cap &&
		    (err = buffer_reserve(out, 2 * out->cap + FILE_STEP)) !=
			HF_OK)
			return err;
		n = read(fd, out->ptr + out->len, out->cap - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return HF_ERR_SYSTEM;
		if (n == 0)
			return HF_OK;
		out->len += (size_t)n;
	}
	return HF_ERR_TOO_LARGE;
}

static enum hf_err
read_file(const char *path, bool is_secret, struct buffer *out,
    struct tls_file *file, struct hf_why *why)
{
	int fd;
	enum hf_err err = open_file(path, is_secret, &fd, why);

	if (err != HF_OK)
		return err;
	err = read_all(fd, out);
	(void)close(fd);
	if (err == HF_ERR_NO_MEMORY)
		return err;
	if (err != HF_OK)
		return hf_fail(
		    why, HF_ERR_BAD_SETTINGS, "%s: cannot be read", path);
	*file = (struct tls_file){ path, buffer_view(out) };
	return HF_OK;
}

/* -- The session -- */

/* The last reason is told: of the folder that it is installed in. */
static void *
open_object(struct hf_why *why)
{
	char path[PATH_MAX];

	for (size_t i = 0; tls_path(i, path, sizeof(path)); i++) {
		void *object =
		    dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
		const char *reason;

		if (object != NULL)
			return object;
		reason = dlerror();
		(void)hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "TLS is not installed: %s", reason == NULL ? path : reason);
	}
	return NULL;
}

enum hf_err
client_tls_load(const struct tls_provider **out, struct hf_why *why)
{
	const struct tls_provider *provider;
	void *object = open_object(why);

	if (object == NULL)
		return HF_ERR_BAD_SETTINGS;
	provider = dlsym(object, "holdfast_tls");
	if (provider == NULL || provider->version != TLS_VERSION)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "holdfast-tls.so is of another version of Holdfast");
	*out = provider;
	return HF_OK;
}

enum hf_err
client_tls_begin(struct client_tls *tls, int fd, struct hf_why *why)
{
	AUTO_BUFFER ca = { 0 };
	AUTO_BUFFER certificate = { 0 };
	AUTO_BUFFER key = { 0 };
	struct tls_settings settings = { .server_name = tls->server_name,
		.allow_tls12 = tls->allow_tls12 };
	enum hf_err err;

	if ((err = client_tls_load(&tls->provider, why)) != HF_OK)
		return err;
	err = read_file(tls->ca, false, &ca, &settings.ca, why);
	if (err == HF_OK)
		err = read_file(tls->certificate, false, &certificate,
		    &settings.certificate, why);
	if (err == HF_OK)
		err = read_file(tls->key, true, &key, &settings.key, why);
	if (err != HF_OK)
		return err;
	return tls->provider->open(&settings, fd, &tls->session, why);
}

void
client_tls_end(struct client_tls *tls, bool goodbye)
{
	if (tls->session == NULL)
		return;
	tls->provider->close(tls->session, goodbye);
	tls->session = NULL;
}

enum tls_state
client_tls_handshake(struct client_tls *tls)
{
	return tls->provider->handshake(tls->session);
}

enum tls_state
client_tls_read(struct client_tls *tls, uint8_t *buf, size_t cap, size_t *done)
{
	return tls->provider->read(tls->session, buf, cap, done);
}

enum tls_state
client_tls_write(
    struct client_tls *tls, const uint8_t *buf, size_t len, size_t *done)
{
	return tls->provider->write(tls->session, buf, len, done);
}

bool
client_tls_holds(const struct client_tls *tls)
{
	return tls->session != NULL && tls->provider->holds(tls->session);
}

bool
client_tls_pending(const struct client_tls *tls)
{
	return tls->provider->pending(tls->session);
}

enum hf_err
client_tls_explain(
    const struct client_tls *tls, const char *who, struct hf_why *why)
{
	return tls->provider->explain(tls->session, who, why);
}
