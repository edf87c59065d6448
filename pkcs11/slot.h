/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_SLOT_H
#define PKCS11_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/err.h>

#include "../lib/client.h"
#include "config.h"
#include "cryptoki.h"

/*
 * A slot with its token: what configuration says, and the way to the daemon.
 * The token is always present, so that a host that looks once at its start
 * keeps it (reference: docs/recipes). Whether the daemon is there shows only
 * when something is asked of it.
 */
struct shelf;

enum { CATALOGUE_VERSION = 64, LOGIN_MAX = 512 };

struct slot {
	CK_SLOT_ID id;
	struct slot_config config;
	char serial[17];
	bool remote; /* TLS */
	/* Guarded by the module's lock. */
	struct hf_client **idle; /* connections that no call uses */
	size_t idle_count, idle_cap;
	bool reached;          /* by this process or one it was forked from */
	int64_t refused_until; /* ms; nobody listened, before `reached` */
	bool logged_in;
	uint8_t login[LOGIN_MAX]; /* what the daemon gave for the PIN */
	size_t login_len;
	unsigned long sessions, rw_sessions;
	struct shelf *catalogue; /* object.c */
	uint8_t catalogue_version[CATALOGUE_VERSION];
	size_t catalogue_version_len;
	int64_t catalogue_at; /* ms; when the daemon vouched for it */
};

enum hf_err slots_make(const struct config *config, struct slot **out,
    size_t *count, struct hf_why *why);
void slots_free(struct slot *slots, size_t count);

/* All local: nothing here asks the daemon. */
void slot_info(const struct slot *slot, CK_SLOT_INFO *out);
void slot_token_info(const struct slot *slot, CK_TOKEN_INFO *out);

/*
 * One request. A connection is taken from the idle ones or made; `out` points
 * into it until slot_done(), which must follow whatever the result was.
 *
 *	struct call call;
 *	err = slot_call(&call, slot, OP_p11_sign, &in, &out, why);
 *	...
 *	slot_done(&call);
 *
 * A daemon that this process never reached fails the call, on this host in
 * milliseconds, and again without trying within the next second, or as long as
 * it took: a host that swallows what it is sent must not delay each call of a
 * program that only looks what there is. One that was there before and is gone
 * is waited for, config.patience_ms.
 */
struct call {
	struct slot *slot;
	struct hf_client *client;
	int64_t began; /* ms */
	enum hf_err outcome;
	bool alone; /* no other call was under way */
	uint8_t login[LOGIN_MAX];
	size_t login_len;
};

/* `in` gets the login of the slot, where there is one. */
enum hf_err slot_call(struct call *call, struct slot *slot, enum op_id id,
    void *in, void *out, struct hf_why *why);
void slot_done(struct call *call);

/* Takes the memory behind the reply out of the call (hf_keep). */
struct hf_reply *slot_keep(struct call *call);

#endif
