/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file, whatever is in it: settings, or a reason in words. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../keyd/settings.h"
#include "../../lib/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("keyd.conf", MFD_CLOEXEC);
	struct settings settings = { 0 };
	struct hf_why why = { "" };
	char path[40];
	enum hf_err err;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = settings_load(path, &settings, &why);
	if (err == HF_OK)
		settings_free(&settings);
	else if (why.text[0] == '\0' && err != HF_ERR_NO_MEMORY)
		abort();
	(void)close(fd);
	return 0;
}
