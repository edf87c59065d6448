/* SPDX-License-Identifier: Apache-2.0 */
#include "key_select.h"

/* The version must be there, enabled, and of the level that policy demands. */
static enum hf_err
select_found(struct request *rq, uint64_t number,
    const struct key_version **out, struct hf_why *why)
{
	const struct key_version *v = key_version_find(rq->key, number);

	if (v == NULL)
		return hf_fail(why, HF_ERR_VERSION_NOT_FOUND,
		    "key %s has no version %llu", rq->key->name,
		    (unsigned long long)number);
	if (v->state != VERSION_ENABLED)
		return hf_fail(why, HF_ERR_VERSION_STATE,
		    "version %llu of key %s is %s", (unsigned long long)number,
		    rq->key->name,
		    v->state == VERSION_DISABLED ? "disabled"
			: v->state == VERSION_DESTROYED
			? "destroyed"
			: "scheduled for destruction");
	if (rq->demand_hsm && v->level != LEVEL_HSM)
		return hf_fail(why, HF_ERR_KEY_LEVEL,
		    "policy demands protection level hsm; version %llu of key "
		    "%s is of level %s",
		    (unsigned long long)number, rq->key->name,
		    key_level_name(v->level));
	*out = v;
	rq->key_version = number;
	return HF_OK;
}

enum hf_err
select_new(struct request *rq, struct hf_uint asked, const char *what,
    const struct key_version **out, struct hf_why *why)
{
	const struct key *key = rq->key;
	uint64_t number = asked.value;

	if (key->soft_deleted)
		return HF_ERR_KEY_DELETED;
	if (!asked.present || number == 0)
		number = key->primary != 0 ? key->primary : key->latest;
	if (number > key->latest)
		return hf_fail(why, HF_ERR_VERSION_TOO_NEW,
		    "requested version for %s is higher than the latest key "
		    "version",
		    what);
	if (number < key->min_encryption)
		return hf_fail(why, HF_ERR_VERSION_TOO_OLD,
		    "requested version for %s is less than the minimum "
		    "encryption key version",
		    what);
	/* What could never be opened again is not made. */
	if (number < key->min_decryption)
		return hf_fail(why, HF_ERR_VERSION_TOO_OLD,
		    "requested version for %s is less than the minimum "
		    "decryption key version",
		    what);
	return select_found(rq, number, out, why);
}

enum hf_err
select_old(struct request *rq, uint64_t version, const char *thing,
    enum hf_err too_new, const struct key_version **out, struct hf_why *why)
{
	const struct key *key = rq->key;

	if (key->soft_deleted)
		return HF_ERR_KEY_DELETED;
	if (version > key->latest)
		return hf_fail(
		    why, too_new, "invalid %s: version is too new", thing);
	if (version < key->min_decryption || version < key->min_available)
		return hf_fail(why, HF_ERR_VERSION_TOO_OLD, "%s",
		    hf_err_sentence(HF_ERR_VERSION_TOO_OLD));
	return select_found(rq, version, out, why);
}
