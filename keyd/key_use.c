/* SPDX-License-Identifier: Apache-2.0 */
#include "key_use.h"

#include <time.h>

#include "../lib/bytes.h"

/* What says that a version is needed. To encrypt and to encrypt anew cancel
 * each other out. */
static const enum usage_class needed[] = { USAGE_DECRYPT, USAGE_SIGN,
	USAGE_VERIFY, USAGE_MAC, USAGE_DERIVE };

static void
consider(
    const struct key_version *v, enum usage_class class, struct key_use *out)
{
	struct usage_info info;

	usage_read(v->usage, class, &info);
	if (info.last <= out->last)
		return;
	out->class = class;
	out->last = info.last;
	out->callers = info.callers;
}

void
key_use_latest(const struct key_version *v, struct key_use *out)
{
	struct usage_info made, moved;

	*out = (struct key_use){ .class = USAGE_DECRYPT };
	usage_read(v->usage, USAGE_ENCRYPT, &made);
	usage_read(v->usage, USAGE_REWRAP, &moved);
	if (made.count > moved.count) {
		out->left = made.count - moved.count;
		consider(v, USAGE_ENCRYPT, out);
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		consider(v, needed[i], out);
}

uint64_t
key_use_since(uint64_t seconds)
{
	uint64_t now = (uint64_t)time(NULL);

	if (seconds == 0)
		return 0;
	return now > seconds ? now - seconds : 1;
}

bool
key_use_lately(const struct key_version *v, uint64_t since, struct key_use *out)
{
	key_use_latest(v, out);
	return out->last != 0 && out->last >= since;
}

static enum hf_err
refuse(const struct key *key, const struct key_version *v,
    const struct key_use *use, struct hf_why *why)
{
	time_t last = (time_t)use->last;
	struct tm tm = { 0 };
	char when[32];

	(void)gmtime_r(&last, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return hf_fail(why, HF_ERR_VERSION_IN_USE,
	    "version %lu of key %s is in use: last %s at %s, by %llu caller%s; "
	    "force does it all the same",
	    (unsigned long)v->number, key->name, usage_class_name(use->class),
	    when, (unsigned long long)use->callers,
	    use->callers == 1 ? "" : "s");
}

enum hf_err
key_use_check(const struct key *key, uint64_t first, uint64_t end,
    uint64_t since, struct hf_why *why)
{
	for (size_t i = 0; since != 0 && i < key->count; i++) {
		const struct key_version *v = &key->versions[i];
		struct key_use use;

		if (v->number >= first && v->number < end &&
		    v->state != VERSION_DESTROYED &&
		    key_use_lately(v, since, &use))
			return refuse(key, v, &use, why);
	}
	return HF_OK;
}
