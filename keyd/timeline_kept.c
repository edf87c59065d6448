/* SPDX-License-Identifier: Apache-2.0 */
#include "timeline_kept.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "record.h"

enum { BOOT_ID = 36, CLOCK_MAX = 256 };

/* Another one each time the machine boots; empty where nobody tells. */
static struct hf_text
boot_id(char out[BOOT_ID])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, BOOT_ID);

	fd_close(fd);
	return (struct hf_text){ out, n == BOOT_ID ? BOOT_ID : 0 };
}

enum hf_err
timeline_load(struct store *store, struct timeline_kept *out)
{
	struct store_value v = { 0 };
	struct clock_record rec;
	char boot[BOOT_ID];
	enum hf_err err = store_get(store, TEXT("clock"), &v);

	if (err != HF_OK)
		return err;
	err = record_decode(&clock_schema, bytes_of(v.ptr, v.len), &rec);
	if (err == HF_OK) {
		struct hf_text id = boot_id(boot);

		*out = (struct timeline_kept){
			.then = { rec.wall, rec.boot },
			.lag = rec.lag,
			.left = rec.left,
			.same_boot = id.len > 0 && text_equal(id, rec.boot_id),
		};
	}
	store_value_free(&v);
	return err;
}

enum hf_err
timeline_save(struct store *store, const struct timeline_kept *kept)
{
	char boot[BOOT_ID];
	struct clock_record rec = { .wall = kept->then.wall,
		.boot = kept->then.boot,
		.boot_id = boot_id(boot),
		.lag = kept->lag,
		.left = kept->left };
	uint8_t buf[CLOCK_MAX];
	struct store_write write = { TEXT("clock"), { NULL, 0 } };
	size_t len;
	enum hf_err err =
	    record_encode(&clock_schema, &rec, buf, sizeof(buf), &len);

	if (err != HF_OK)
		return err;
	write.value = bytes_of(buf, len);
	return store_commit(store, NULL, 0, &write, 1, NULL);
}
