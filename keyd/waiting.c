/* SPDX-License-Identifier: Apache-2.0 */
#include "waiting.h"

#include <stddef.h>

static _Thread_local const struct waiting *told;

void
waiting_tell(const struct waiting *who)
{
	told = who;
}

void
waiting_begin(void)
{
	if (told != NULL)
		told->begin(told->ctx);
}

void
waiting_end(void)
{
	if (told != NULL)
		told->end(told->ctx);
}
