/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "bytes.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "0123456789.-";

_Static_assert(ADDRESS_PATH + 1 == sizeof(((struct sockaddr_un *)0)->sun_path),
    "a path fits a socket address");

static bool
only(struct hf_text t, const char *characters)
{
	for (size_t i = 0; i < t.len; i++)
		if (t.ptr[i] == '\0' || strchr(characters, t.ptr[i]) == NULL)
			return false;
	return true;
}

static void
copy(char *to, struct hf_text from)
{
	memcpy(to, from.ptr, from.len);
	to[from.len] = '\0';
}

static enum hf_err
parse_path(const char *path, struct address *out, struct hf_why *why)
{
	size_t len = strlen(path);

	if (len < 1 || len > ADDRESS_PATH)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the path of the socket must have 1 to %d bytes",
		    ADDRESS_PATH);
	*out = (struct address){ .kind = ADDRESS_UNIX };
	copy(out->path, text_of(path));
	copy(out->text, text_of(path));
	return HF_OK;
}

static bool
split(const char *text, struct hf_text *host, struct hf_text *port)
{
	const char *end, *colon;

	if (*text == '[') {
		if ((end = strchr(text, ']')) == NULL || end[1] != ':')
			return false;
		*host = (struct hf_text){ text + 1, (size_t)(end - text - 1) };
		*port = text_of(end + 2);
		return only(*host, "0123456789abcdefABCDEF:.");
	}
	if ((colon = strchr(text, ':')) == NULL)
		return false;
	*host = (struct hf_text){ text, (size_t)(colon - text) };
	*port = text_of(colon + 1);
	return only(*host, letters) && *text != '-';
}

static bool
port_valid(struct hf_text port)
{
	unsigned n = 0;

	if (port.len < 1 || port.len > 5 || !only(port, "0123456789"))
		return false;
	for (size_t i = 0; i < port.len; i++)
		n = 10 * n + (unsigned)(port.ptr[i] - '0');
	return n >= 1 && n <= 65535;
}

static enum hf_err
parse_remote(
    const char *text, const char *rest, struct address *out, struct hf_why *why)
{
	struct hf_text host, port;

	if (!split(rest, &host, &port) || host.len < 1 ||
	    host.len > ADDRESS_HOST || !port_valid(port))
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%.80s: tls+tcp:// takes HOST:PORT, as in "
		    "tls+tcp://keys.example:7655 or tls+tcp://[::1]:7655",
		    text);
	*out = (struct address){ .kind = ADDRESS_TLS };
	copy(out->host, host);
	copy(out->port, port);
	copy(out->text, text_of(text));
	return HF_OK;
}

enum hf_err
address_parse(const char *text, struct address *out, struct hf_why *why)
{
	static const char ipc[] = "ipc://", tls[] = "tls+tcp://";
	const char *scheme = strstr(text, "://");

	if (strncmp(text, ipc, sizeof(ipc) - 1) == 0)
		return parse_path(text + sizeof(ipc) - 1, out, why);
	if (strncmp(text, tls, sizeof(tls) - 1) == 0)
		return parse_remote(text, text + sizeof(tls) - 1, out, why);
	if (scheme != NULL && scheme != text &&
	    memchr(text, '/', (size_t)(scheme - text)) == NULL)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%.80s: an address is a path, ipc://PATH or "
		    "tls+tcp://HOST:PORT",
		    text);
	return parse_path(text, out, why);
}
