/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_ADDRESS_H
#define LIB_ADDRESS_H

#include <holdfast/err.h>

/*
 * Where a service is: the path of its socket, with or without ipc:// before
 * it, or tls+tcp://HOST:PORT with a name, an IPv4 address or an IPv6 address
 * in brackets. Any other scheme is refused; it is not taken for a path.
 */
enum {
	ADDRESS_PATH = 107, /* what struct sockaddr_un takes, without the NUL */
	ADDRESS_HOST = 253, /* the longest name (RFC 1035, section 2.3.4) */
	ADDRESS_LONGEST = 280,
};

enum address_kind { ADDRESS_UNIX, ADDRESS_TLS };

struct address {
	enum address_kind kind;
	char text[ADDRESS_LONGEST + 1]; /* as it is told to people */
	char path[ADDRESS_PATH + 1];
	char host[ADDRESS_HOST + 1]; /* without brackets */
	char port[6];                /* decimal */
};

/* HF_ERR_BAD_SETTINGS when it is none of these. */
enum hf_err address_parse(
    const char *text, struct address *out, struct hf_why *why);

#endif
