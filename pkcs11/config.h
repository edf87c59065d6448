/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_CONFIG_H
#define PKCS11_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/address.h"

/*
 * What slots there are. From /etc/holdfast/pkcs11.conf, the environment and
 * the string that a host gives C_Initialize, the later before the earlier:
 *
 *	login = none                  # before any section: for all slots
 *	[web]                         # a slot; its token's label
 *	address = /run/holdfast/keyd.sock   # or socket =, or
 *	                              # tls+tcp://HOST:PORT, which needs
 *	tls-ca = /etc/holdfast/ca.pem
 *	tls-certificate = /etc/holdfast/web.pem
 *	tls-key = /etc/holdfast/web.key
 *	tls-server-name = keys.example      # unless it is HOST
 *	tls-version = 1.3|1.2               # the lowest
 *	keys = web-*, tls-*           # names of keys, with * and ?
 *	types = rsa, ec, ed25519, aes, hmac
 *	objects = private, public, certificate, secret
 *	login = none|protected|pin
 *	ed25519 = named|listed        # see object.c
 *	random = kernel|hsm
 *	timeout = 10                  # seconds for one call
 *	patience = 4                  # seconds to wait out a restart
 *	spin = auto|never             # see lib/client_spin.h
 *
 * Without a file there is one slot, "holdfast". HOLDFAST_SOCKET,
 * HOLDFAST_TOKEN, HOLDFAST_TLS_CA, ... and socket=, token=, login=, ... of the
 * host's string speak of the first slot; HOLDFAST_PKCS11_CONFIG, or config= of
 * the string, names another file. The environment is ignored in setuid
 * programs.
 *
 * What is not understood is an error, never ignored: a typo in "login" must
 * not open what it should have closed.
 */
enum login_mode { LOGIN_NONE, LOGIN_PROTECTED, LOGIN_PIN };

enum { LABEL_MAX = 32, SLOTS_MAX = 64, PATTERNS_MAX = 32, FILE_NAME_MAX = 255 };

/* Kinds of objects that a slot may show; bits. */
enum show {
	SHOW_PRIVATE = 1,
	SHOW_PUBLIC = 2,
	SHOW_CERTIFICATE = 4,
	SHOW_SECRET = 8,
	SHOW_ALL = 15,
};

/* Families of keys that a slot may show; bits. */
enum types {
	TYPES_RSA = 1,
	TYPES_EC = 2,
	TYPES_ED25519 = 4,
	TYPES_AES = 8,
	TYPES_HMAC = 16,
	TYPES_ALL = 31,
};

struct slot_config {
	char label[LABEL_MAX + 1];
	struct {
		char ca[FILE_NAME_MAX + 1];
		char certificate[FILE_NAME_MAX + 1];
		char key[FILE_NAME_MAX + 1];
		char server_name[FILE_NAME_MAX + 1]; /* empty: the host */
		bool allow_tls12;
	} tls;
	char address[ADDRESS_LONGEST + 1]; /* empty: libholdfast's default */
	char patterns[PATTERNS_MAX][64];
	size_t pattern_count; /* 0: all keys */
	unsigned show;        /* enum show */
	unsigned types;       /* enum types */
	enum login_mode login;
	bool random_hsm;
	bool lists_ed25519;
	unsigned timeout_ms;
	unsigned patience_ms;
	bool spin;
};

struct config {
	struct slot_config *slots; /* owned */
	size_t count;
};

/*
 * Reads it all. `reserved` is the host's string or NULL. HF_ERR_BAD_SETTINGS
 * with file, line and reason in `why`.
 */
enum hf_err config_load(
    const char *reserved, struct config *out, struct hf_why *why);

/* The text of a file; for config_load and the tests. */
enum hf_err config_parse(struct hf_text text, const char *file,
    struct config *out, struct hf_why *why);

/* Settings of the first slot: "socket=/x token='my token' login=none". */
enum hf_err config_override(
    struct config *config, const char *reserved, struct hf_why *why);

/*
 * Whether each slot has what its address needs. HF_ERR_BAD_SETTINGS with the
 * slot's label in `why`.
 */
enum hf_err config_check(const struct config *config, struct hf_why *why);

/* An all-zero one is fine. */
void config_free(struct config *config);

/* Whether the address of the slot is one of TLS. */
bool config_is_remote(const struct slot_config *slot);

/* Whether the slot shows keys of that name: its patterns, "*" and "?". */
bool config_shows(const struct slot_config *slot, struct hf_text name);

#endif
