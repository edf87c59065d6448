/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "hsm_internal.h"
#include "log.h"

/* Longest PIN, and room to see that one is longer. */
enum { PIN_MAX = 255, PIN_ROOM = PIN_MAX + 2 };

/* Drops one trailing newline, as an editor or echo leaves it; then bounds. */
static enum hf_err
pin_take(const struct secret *raw, size_t len, struct secret *pin,
    const char *source, struct hf_why *why)
{
	if (len > 0 && raw->ptr[len - 1] == '\n')
		len--;
	if (len == 0)
		return hf_fail(
		    why, HF_ERR_BAD_SETTINGS, "%s holds no PIN", source);
	if (len > PIN_MAX)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s holds more than a PIN of %d bytes", source, PIN_MAX);
	return secret_copy(pin, bytes_of(raw->ptr, len));
}

static enum hf_err
read_descriptor(
    int fd, const char *source, struct secret *pin, struct hf_why *why)
{
	AUTO_SECRET raw = { 0 };
	size_t len;
	enum hf_err err = secret_alloc(&raw, PIN_ROOM);

	if (err != HF_OK)
		return err;
	if (fd_read(fd, raw.ptr, PIN_ROOM, &len, NULL) != HF_OK)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s cannot be read: %s", source, strerror(errno));
	return pin_take(&raw, len, pin, source, why);
}

static enum hf_err
read_file(const char *path, struct secret *pin, struct hf_why *why)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	enum hf_err err;

	if (fd < 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the PIN file %s cannot be opened: %s", path,
		    strerror(errno));
	if (fstat(fd, &st) == 0 && (st.st_mode & 0007) != 0)
		log_warning("the PIN file %s is open to every user", path);
	err = read_descriptor(fd, path, pin, why);
	(void)close(fd);
	return err;
}

/* The variable goes, and its text: /proc/PID/environ would still show it. */
static enum hf_err
read_environment(const char *name, struct secret *pin, struct hf_why *why)
{
	AUTO_SECRET raw = { 0 };
	char *value = getenv(name);
	enum hf_err err;
	size_t len;

	if (value == NULL)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the environment has no %s with the PIN", name);
	len = strlen(value);
	err = secret_alloc(&raw, PIN_ROOM);
	if (err != HF_OK)
		return err;
	if (len > PIN_ROOM)
		len = PIN_ROOM;
	memcpy(raw.ptr, value, len);
	bytes_wipe(value, strlen(value));
	(void)unsetenv(name);
	return pin_take(&raw, len, pin, name, why);
}

static enum hf_err
read_number(const char *text, struct secret *pin, struct hf_why *why)
{
	char *end;
	long fd = strtol(text, &end, 10);
	enum hf_err err;

	if (*text < '0' || *text > '9' || *end != '\0' || fd > 1 << 20)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "fd:%s is no file descriptor", text);
	err = read_descriptor((int)fd, "the descriptor", pin, why);
	(void)close((int)fd);
	return err;
}

/* systemd.exec(5), LoadCredential= */
static enum hf_err
read_credential(const char *name, struct secret *pin, struct hf_why *why)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char path[4096];
	int n;

	if (folder == NULL)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "cred:%s: there is no CREDENTIALS_DIRECTORY. In a unit of "
		    "systemd, LoadCredential= makes one; elsewhere "
		    "--pin-source or hsm.pin says where the PIN is",
		    name);
	if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "cred:%s is not the name of a credential", name);
	n = snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the credential's path is too long");
	return read_file(path, pin, why);
}

/* A function per row: each source is got at in its own way. */
static const struct {
	const char *prefix;
	enum hf_err (*read)(
	    const char *rest, struct secret *pin, struct hf_why *why);
} sources[] = {
	{ "file:", read_file },
	{ "env:", read_environment },
	{ "fd:", read_number },
	{ "cred:", read_credential },
};

enum hf_err
pin_read(const char *source, struct secret *pin, struct hf_why *why)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		size_t len = strlen(sources[i].prefix);

		if (strncmp(source, sources[i].prefix, len) == 0)
			return sources[i].read(source + len, pin, why);
	}
	/* It may be a PIN by mistake: say nothing of what it was. */
	return hf_fail(why, HF_ERR_BAD_SETTINGS,
	    "the source of the PIN must be file:PATH, env:NAME, fd:N or "
	    "cred:NAME");
}
