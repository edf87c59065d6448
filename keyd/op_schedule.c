/* SPDX-License-Identifier: Apache-2.0 */
/* What the service does over time, for those who want to know. */
#include "handlers.h"

#include <time.h>

#include "chores.h"
#include "server.h"

static void
show(struct request *rq, struct hf_schedule_out *out)
{
	struct chores_info info;

	chores_info(rq->server->chores, &info);
	*out = (struct hf_schedule_out){
		.time = (uint64_t)time(NULL),
		.next_due = info.next,
		.lag = info.lag,
		.lag_left = info.left,
	};
}

enum hf_err
op_sys_schedule(
    struct request *rq, const struct hf_empty *in, struct hf_schedule_out *out)
{
	(void)in;
	show(rq, out);
	return HF_OK;
}

enum hf_err
op_sys_schedule_confirm(
    struct request *rq, const struct hf_empty *in, struct hf_schedule_out *out)
{
	(void)in;
	chores_confirm(rq->server->chores);
	server_event(rq->server, "clock.confirmed", "");
	show(rq, out);
	return HF_OK;
}
