/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a daemon that is not to be trusted may answer to p11.find: the module
 * makes objects of it and tells all their attributes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../../lib/arena.h"
#include "../../lib/bytes.h"
#include "../../lib/envelope.h"
#include "../../lib/ops.h"
#include "../../pkcs11/attribute.h"
#include "../../pkcs11/config.h"
#include "../../pkcs11/object.h"
#include "../../pkcs11/shelf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 4096 };

static void
ask_everything(const struct object *object)
{
	uint8_t room[ROOM];

	for (size_t i = 0; i < attributes_count; i++) {
		CK_ATTRIBUTE a = { attributes[i].type, NULL, 0 };

		if (attribute_get(object, &a, 1) != CKR_OK)
			continue;
		a.pValue = room;
		if (a.ulValueLen <= ROOM &&
		    attribute_get(object, &a, 1) != CKR_OK)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slot_config config = { .show = SHOW_ALL,
		.types = TYPES_ALL };
	struct hf_p11_find_out rows;
	struct arena *arena = NULL;
	struct shelf *shelf = NULL;
	struct hf_why why;

	if (arena_new(1 << 14, 16 << 20, &arena) != HF_OK)
		return 0;
	if (envelope_open_reply(bytes_of(data, size), &schema_p11_find_out,
		arena, &rows, &why) == HF_OK &&
	    shelf_make(&config, &rows, NULL, &shelf) == HF_OK)
		for (size_t i = 0; i < shelf_count(shelf); i++)
			ask_everything(shelf_at(shelf, i));
	shelf_put(shelf);
	arena_free(arena);
	return 0;
}
