/* SPDX-License-Identifier: Apache-2.0 */
#include "slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "../lib/client_socket.h"
#include "../lib/client_tls.h"
#include "digest.h"
#include "module.h"
#include "object.h"
#include "shelf.h"

enum { IDLE_MAX = 64, REFUSAL_MS = 1000, RETRY_MS = 20 };

static const char manufacturer[] = "Holdfast";

/* Cryptoki's texts: padded with blanks, no NUL. */
static void
pad(unsigned char *to, size_t cap, const char *from)
{
	size_t len = strlen(from);

	memset(to, ' ', cap);
	memcpy(to, from, len < cap ? len : cap);
}

/* -- What configuration says -- */

/* Hosts remember tokens by serial number: the same label, the same serial. */
static void
make_serial(struct slot *slot)
{
	uint8_t hash[DIGEST_MAX];

	digest_once(digest_by_mech(CKM_SHA256),
	    bytes_of(slot->config.label, strlen(slot->config.label)), hash);
	hex_encode(hash, 8, slot->serial);
}

enum hf_err
slots_make(const struct config *config, struct slot **out, size_t *count,
    struct hf_why *why)
{
	struct slot *slots = calloc(config->count, sizeof(*slots));

	(void)why;
	if (slots == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < config->count; i++) {
		slots[i].id = i;
		slots[i].config = config->slots[i];
		slots[i].remote = config_is_remote(&config->slots[i]);
		slots[i].refused_until = INT64_MIN;
		make_serial(&slots[i]);
	}
	*out = slots;
	*count = config->count;
	return HF_OK;
}

void
slots_free(struct slot *slots, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < slots[i].idle_count; k++)
			hf_close(slots[i].idle[k]);
		free(slots[i].idle);
		shelf_put(slots[i].catalogue);
	}
	free(slots);
}

void
slot_info(const struct slot *slot, CK_SLOT_INFO *out)
{
	char text[64 + LABEL_MAX];

	*out = (CK_SLOT_INFO){ .flags = CKF_TOKEN_PRESENT | CKF_HW_SLOT,
		.hardwareVersion = { 0, 1 },
		.firmwareVersion = { 0, 1 } };
	(void)snprintf(
	    text, sizeof(text), "Holdfast key service: %s", slot->config.label);
	pad(out->slotDescription, sizeof(out->slotDescription), text);
	pad(out->manufacturerID, sizeof(out->manufacturerID), manufacturer);
}

static const CK_FLAGS login_flags[] = {
	[LOGIN_NONE] = 0,
	[LOGIN_PROTECTED] =
	    CKF_LOGIN_REQUIRED | CKF_PROTECTED_AUTHENTICATION_PATH,
	[LOGIN_PIN] = CKF_LOGIN_REQUIRED,
};

void
slot_token_info(const struct slot *slot, CK_TOKEN_INFO *out)
{
	*out = (CK_TOKEN_INFO){
		.flags = CKF_RNG | CKF_TOKEN_INITIALIZED |
		    CKF_USER_PIN_INITIALIZED | login_flags[slot->config.login],
		.ulMaxSessionCount = CK_EFFECTIVELY_INFINITE,
		.ulMaxRwSessionCount = CK_EFFECTIVELY_INFINITE,
		.ulSessionCount = slot->sessions,
		.ulRwSessionCount = slot->rw_sessions,
		.ulMaxPinLen = 255,
		.ulMinPinLen = 0,
		.ulTotalPublicMemory = CK_UNAVAILABLE_INFORMATION,
		.ulFreePublicMemory = CK_UNAVAILABLE_INFORMATION,
		.ulTotalPrivateMemory = CK_UNAVAILABLE_INFORMATION,
		.ulFreePrivateMemory = CK_UNAVAILABLE_INFORMATION,
		.hardwareVersion = { 0, 1 },
		.firmwareVersion = { 0, 1 },
	};
	pad(out->label, sizeof(out->label), slot->config.label);
	pad(out->manufacturerID, sizeof(out->manufacturerID), manufacturer);
	pad(out->model, sizeof(out->model), "keyd");
	pad(out->serialNumber, sizeof(out->serialNumber), slot->serial);
	memset(out->utcTime, ' ', sizeof(out->utcTime));
}

/* -- The way to the daemon -- */

/*
 * What only slots with TLS need: its library, loaded under the lock that a
 * fork waits for (the loader's state would be half made in the child), and
 * who is who.
 */
static enum hf_err
add_tls(const struct slot_config *slot, struct hf_client *client,
    struct hf_why *why)
{
	const struct hf_tls tls = { .ca = slot->tls.ca,
		.certificate = slot->tls.certificate,
		.key = slot->tls.key,
		.server_name = slot->tls.server_name,
		.allow_tls12 = slot->tls.allow_tls12 };
	const struct tls_provider *provider;
	enum hf_err err;

	module_lock();
	err = client_tls_load(&provider, why);
	module_unlock();
	return err == HF_OK ? hf_set_tls(client, &tls, why) : err;
}

static enum hf_err
client_new(const struct slot *slot, struct hf_client **out, struct hf_why *why)
{
	const char *address = slot->config.address;
	struct hf_client *client;
	enum hf_err err = hf_prepare(*address == '\0' ? NULL : address,
	    (int)slot->config.timeout_ms, &client, why);

	if (err != HF_OK)
		return err;
	if (slot->remote &&
	    (err = add_tls(&slot->config, client, why)) != HF_OK) {
		hf_close(client);
		return err;
	}
	/* A restart is waited for here, for all connections of the slot. */
	hf_set_patience(client, 0);
	*out = client;
	return HF_OK;
}

/* Takes what the call needs of the slot: its login, and a connection if one is
 * idle. */
static enum hf_err
borrow(struct call *call, struct hf_why *why)
{
	struct slot *slot = call->slot;
	bool refused;

	module_lock();
	call->login_len = slot->login_len;
	memcpy(call->login, slot->login, slot->login_len);
	call->alone = module_is_alone();
	refused = !slot->reached && slot->refused_until > deadline_now();
	if (!refused && slot->idle_count > 0)
		call->client = slot->idle[--slot->idle_count];
	module_unlock();
	if (refused)
		return hf_fail(why, HF_ERR_UNREACHABLE,
		    "the service was not there a moment ago");
	return call->client != NULL ? HF_OK
				    : client_new(slot, &call->client, why);
}

static bool
idle_room(struct slot *slot)
{
	size_t cap = slot->idle_cap == 0 ? 4 : 2 * slot->idle_cap;
	struct hf_client **idle;

	if (slot->idle_count < slot->idle_cap)
		return true;
	if (cap > IDLE_MAX)
		return false;
	idle = realloc(slot->idle, cap * sizeof(struct hf_client *));
	if (idle == NULL)
		return false;
	slot->idle = idle;
	slot->idle_cap = cap;
	return true;
}

/* Errors that the daemon did not send. */
static bool
is_from_here(enum hf_err err)
{
	return err == HF_ERR_TIMEOUT || err == HF_ERR_DISCONNECTED ||
	    err == HF_ERR_UNTRUSTED || err == HF_ERR_CLIENT_REFUSED ||
	    err == HF_ERR_BAD_SETTINGS || err == HF_ERR_NO_MEMORY ||
	    err == HF_ERR_SYSTEM;
}

/* Under the lock. */
static void
note_outcome(const struct call *call)
{
	struct slot *slot = call->slot;
	enum hf_err err = call->outcome;

	if (err == HF_ERR_UNREACHABLE || err == HF_ERR_TIMEOUT) {
		int64_t now = deadline_now();
		int64_t took = now - call->began;

		slot->refused_until =
		    now + (took > REFUSAL_MS ? took : REFUSAL_MS);
	} else if (!is_from_here(err)) {
		slot->reached = true;
	}
}

/* Errors of a daemon that did nothing and will soon be able to. */
static bool
worth_waiting(const struct slot *slot, enum hf_err err)
{
	if (err == HF_ERR_UNREACHABLE)
		return slot->reached;
	return err == HF_ERR_SHUTTING_DOWN || err == HF_ERR_BUSY;
}

static const struct op *
op_by_id(enum op_id id)
{
	size_t i = 0;

	while (ops[i].id != id)
		i++;
	return &ops[i];
}

/* Tells who has logged in that he has: a field of most requests. */
static void
add_login(const struct call *call, const struct op *op, void *in)
{
	const struct schema *s = op->in;
	struct hf_bytes login = bytes_of(call->login, call->login_len);

	for (size_t i = 0; i < s->count && login.len > 0; i++)
		if (strcmp(s->fields[i].name, "login") == 0)
			memcpy((uint8_t *)in + s->fields[i].offset, &login,
			    sizeof(login));
}

enum hf_err
slot_call(struct call *call, struct slot *slot, enum op_id id, void *in,
    void *out, struct hf_why *why)
{
	const struct op *op = op_by_id(id);
	int64_t deadline = deadline_in((int)slot->config.patience_ms);
	enum hf_err err;

	call->slot = slot;
	call->client = NULL;
	call->began = deadline_now();
	if ((err = borrow(call, why)) != HF_OK)
		return err;
	add_login(call, op, in);
	client_may_spin(call->client, slot->config.spin && call->alone);
	for (;;) {
		err = client_call(call->client, op, in, out, why);
		if (!worth_waiting(slot, err) || deadline_now() >= deadline)
			break;
		nap_until(deadline, RETRY_MS);
	}
	call->outcome = err;
	return err;
}

struct hf_reply *
slot_keep(struct call *call)
{
	return hf_keep(call->client);
}

void
slot_done(struct call *call)
{
	struct slot *slot = call->slot;
	bool kept;

	bytes_wipe(call->login, call->login_len);
	if (call->client == NULL)
		return;
	hf_forget(call->client);
	module_lock();
	note_outcome(call);
	kept = idle_room(slot);
	if (kept)
		slot->idle[slot->idle_count++] = call->client;
	module_unlock();
	if (!kept)
		hf_close(call->client);
	call->client = NULL;
}
