/* SPDX-License-Identifier: Apache-2.0 */
#include "key_plan.h"

#include <stdio.h>

#include "../lib/bytes.h"
#include "change.h"

void
plan_store_name(uint64_t when, struct hf_text name, char *out)
{
	(void)snprintf(out, KEY_STORE_NAME, "plan/%016llx/%.*s",
	    (unsigned long long)when, (int)name.len, name.ptr);
}

enum hf_err
plan_check(const struct key_type *type, const struct key_record *rec,
    struct hf_why *why)
{
	uint64_t period = rec->auto_rotate_period;
	uint64_t limit = key_type_limit(type);

	if (period != 0 && period < PLAN_PERIOD_MIN)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "auto rotate period must be 0 to disable or at least an "
		    "hour");
	if (period != 0 && rec->imported && !rec->allow_rotation)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "auto_rotate_period: the imported key does not allow "
		    "rotation within the service");
	if (limit != 0 && rec->use_limit > limit)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "use_limit: keys of type %s may draw at most %llu random "
		    "nonces",
		    type->name, (unsigned long long)limit);
	return HF_OK;
}

/* The clock may have been set back since it was made. */
static uint64_t
made_at(const struct key *key, uint64_t number, uint64_t now)
{
	const struct key_version *v =
	    key == NULL ? NULL : key_version_find(key, number);

	return v == NULL || v->creation_time > now ? now : v->creation_time;
}

/* A version is superseded when the next one is made. */
static uint64_t
superseded_at(const struct key *key, uint64_t number, uint64_t now)
{
	for (size_t i = 0; key != NULL && i < key->count; i++)
		if (key->versions[i].number > number)
			return made_at(key, key->versions[i].number, now);
	return now;
}

static uint64_t
rotation_due(const struct key_record *rec, const struct key *key, uint64_t now)
{
	if (rec->auto_rotate_period == 0 || rec->soft_deleted)
		return 0;
	return made_at(key, rec->latest_version, now) + rec->auto_rotate_period;
}

/* As far as min_decryption_version may be raised at all. */
static uint64_t
retire_most(const struct key_record *rec)
{
	return rec->primary_version != 0 ? rec->primary_version
					 : rec->latest_version;
}

static uint64_t
retirement_due(
    const struct key_record *rec, const struct key *key, uint64_t now)
{
	uint64_t min = rec->min_decryption_version, due = 0;

	if (min >= retire_most(rec))
		return 0;
	if (rec->auto_retire_age != 0)
		due = superseded_at(key, min, now) + rec->auto_retire_age;
	if (rec->auto_retire_behind != 0 &&
	    rec->latest_version > min + rec->auto_retire_behind)
		due = now;
	return due;
}

uint64_t
plan_due(const struct key_record *rec, const struct key *key, uint64_t now)
{
	uint64_t rotate = rotation_due(rec, key, now);
	uint64_t retire = retirement_due(rec, key, now);

	/* Versions that are in use still: another day. */
	if (retire != 0 && retire < rec->retire_not_before)
		retire = rec->retire_not_before;
	if (rotate == 0 || retire == 0)
		return rotate + retire;
	return rotate < retire ? rotate : retire;
}

bool
plan_rotates(const struct key *key, uint64_t now)
{
	struct key_record rec = key_record_of(key);
	uint64_t due = rotation_due(&rec, key, now);

	return due != 0 && due <= now;
}

uint32_t
plan_retires(const struct key *key, uint64_t now)
{
	struct key_record rec = key_record_of(key);
	uint64_t min = rec.min_decryption_version, due;

	if (rec.retire_not_before > now)
		return key->min_decryption;
	/* Where versions are missing, the number goes up over the gap. */
	while ((due = retirement_due(&rec, key, now)) != 0 && due <= now) {
		rec.min_decryption_version++;
		min = rec.min_decryption_version;
	}
	return (uint32_t)min;
}
