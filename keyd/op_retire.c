/* SPDX-License-Identifier: Apache-2.0 */
/* Which versions of a key can be retired, as far as their uses tell. */
#include "handlers.h"

#include <time.h>

#include "../lib/bytes.h"
#include "key.h"
#include "key_show.h"
#include "key_use.h"
#include "server.h"

static enum hf_err
say(struct hf_text *out, char *text)
{
	if (text == NULL)
		return HF_ERR_NO_MEMORY;
	*out = text_of(text);
	return HF_OK;
}

/* "45d", or hours for what was today, or minutes. */
static char *
ago(struct request *rq, uint64_t then, uint64_t now)
{
	static const struct {
		unsigned seconds;
		char unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	uint64_t seconds = now > then ? now - then : 0;
	size_t i = 0;

	while (units[i].seconds > 1 && seconds < units[i].seconds)
		i++;
	return arena_printf(rq->arena, "%llu%c",
	    (unsigned long long)seconds / units[i].seconds, units[i].unit);
}

/* What new things are made under. */
static uint32_t
current(const struct key *key)
{
	return key->primary != 0 ? key->primary : key->latest;
}

static enum hf_err
verdict(struct request *rq, const struct key_version *v,
    const struct key_use *use, uint64_t since, uint64_t now,
    struct hf_retire_version *out)
{
	const char *when = ago(rq, use->last, now);

	if (when == NULL)
		return HF_ERR_NO_MEMORY;
	if (v->state == VERSION_DESTROYED) {
		out->retire = TEXT("gone");
		out->because = TEXT("it is destroyed");
		return HF_OK;
	}
	if (v->number >= current(rq->key)) {
		out->retire = TEXT("no");
		out->because = v->number > current(rq->key)
		    ? TEXT("it is newer than the one that is in use")
		    : TEXT("new things are made under it");
		return HF_OK;
	}
	if (use->last != 0 && use->last >= since) {
		out->retire = TEXT("no");
		return say(&out->because,
		    arena_printf(rq->arena, "%s %s ago, by %llu caller%s",
			usage_class_name(use->class), when,
			(unsigned long long)use->callers,
			use->callers == 1 ? "" : "s"));
	}
	if (use->left > 0) {
		out->retire = TEXT("check");
		return say(&out->because,
		    arena_printf(rq->arena,
			"not used for %s, but %llu ciphertexts were not "
			"rewrapped",
			when, (unsigned long long)use->left));
	}
	out->retire = TEXT("yes");
	if (use->last == 0) {
		out->because = TEXT("nothing is left that needs it");
		return HF_OK;
	}
	return say(
	    &out->because, arena_printf(rq->arena, "not used for %s", when));
}

static uint64_t
count_of(const struct key_version *v, enum usage_class class)
{
	struct usage_info info;

	usage_read(v->usage, class, &info);
	return info.count;
}

/* What was made under it, and cannot be used without it. */
static enum hf_err
breaks(struct request *rq, const struct key_version *v, uint64_t left,
    struct hf_text *out)
{
	const struct {
		uint64_t count;
		const char *what;
	} parts[] = {
		{ left, "ciphertexts" },
		{ count_of(v, USAGE_SIGN), "signatures (verified here)" },
		{ count_of(v, USAGE_MAC), "MACs" },
		{ v->chain_len > 0, "certificate" },
	};
	char *text = NULL;

	if (v->state == VERSION_DESTROYED)
		return HF_OK;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].count == 0)
			continue;
		text = arena_printf(rq->arena, "%s%s%llu %s",
		    text == NULL ? "" : text, text == NULL ? "" : ", ",
		    (unsigned long long)parts[i].count, parts[i].what);
		if (text == NULL)
			return HF_ERR_NO_MEMORY;
	}
	return text == NULL ? HF_OK : say(out, text);
}

static enum hf_err
row(struct request *rq, const struct key_version *v, uint64_t since,
    uint64_t now, struct hf_retire_version *out)
{
	struct key_use use;
	enum hf_err err;

	key_use_latest(v, &use);
	*out = (struct hf_retire_version){
		.version = v->number,
		.state = key_state_text(v->state),
		.last_use = use.last,
		.callers = use.callers,
		.encrypted = count_of(v, USAGE_ENCRYPT),
		.left = use.left,
	};
	if (use.last != 0)
		out->operation = text_of(usage_class_name(use.class));
	if ((err = verdict(rq, v, &use, since, now, out)) != HF_OK)
		return err;
	return breaks(rq, v, use.left, &out->breaks);
}

/* All below can go: they come first, without a gap. */
static uint64_t
retire_below(const struct hf_retire_report_out *out)
{
	uint64_t below = out->min_decryption_version;

	for (size_t i = 0; i < out->versions_count; i++) {
		const struct hf_retire_version *v = &out->versions[i];

		if (!text_is(v->retire, "yes") && !text_is(v->retire, "gone"))
			return v->version > below ? v->version : below;
	}
	return below;
}

enum hf_err
op_key_retire_report(struct request *rq, const struct hf_retire_report_in *in,
    struct hf_retire_report_out *out)
{
	const struct key *key = rq->key;
	uint64_t now = (uint64_t)time(NULL);
	uint64_t older =
	    in->older_than.present ? in->older_than.value : rq->server->lately;
	uint64_t since = now > older ? now - older : 0;
	enum hf_err err = HF_OK;

	if (key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	*out = (struct hf_retire_report_out){
		.name = text_of(arena_text(rq->arena, text_of(key->name))),
		.type = text_of(key->type->name),
		.latest_version = key->latest,
		.min_decryption_version = key->min_decryption,
		.versions =
		    arena_array(rq->arena, key->count, sizeof(*out->versions)),
	};
	if (out->name.ptr == NULL || out->versions == NULL)
		return HF_ERR_NO_MEMORY;
	/* With 0 nothing was used lately; what was used this second, too. */
	for (size_t i = 0; i < key->count && err == HF_OK; i++)
		err = row(rq, &key->versions[i],
		    older == 0 ? UINT64_MAX : since, now, &out->versions[i]);
	out->versions_count = key->count;
	out->retire_below = retire_below(out);
	return err;
}
