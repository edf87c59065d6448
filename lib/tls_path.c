/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_path.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

static const char object[] = "holdfast-tls.so";
static const char installed[] = HOLDFAST_TLS_DIR;

/* The value of an entry that is an address; most loaders add the base. */
static const char *
pointer_of(const struct link_map *map, const ElfW(Dyn) * d)
{
	ElfW(Addr) address = d->d_un.d_ptr;

	if (address < map->l_addr)
		address += map->l_addr;
	return (const char *)address;
}

/* The list of folders, divided by colons; NULL when there is none. */
static const char *
own_folders(void)
{
	const char *texts = NULL;
	ElfW(Xword) at = 0;
	bool found = false;
	struct link_map *map;
	Dl_info info;

	/* `object` stands for the file that it is in: ours. */
	if (dladdr1(object, &info, (void **)&map, RTLD_DL_LINKMAP) == 0)
		return NULL;
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_STRTAB)
			texts = pointer_of(map, d);
		if (d->d_tag == DT_RPATH || d->d_tag == DT_RUNPATH) {
			at = d->d_un.d_val;
			found = true;
		}
	}
	return found && texts != NULL ? texts + at : NULL;
}

bool
tls_path(size_t i, char *out, size_t cap)
{
	const char *folders = own_folders();
	int n;

	while (folders != NULL && *folders != '\0') {
		size_t len = strcspn(folders, ":");

		if (*folders == '/' && len < cap && i-- == 0) {
			n = snprintf(
			    out, cap, "%.*s/%s", (int)len, folders, object);
			return n > 0 && (size_t)n < cap;
		}
		folders += len;
		folders += *folders == ':';
	}
	if (i > 0)
		return false;
	n = snprintf(out, cap, "%s/%s", installed, object);
	return n > 0 && (size_t)n < cap;
}
