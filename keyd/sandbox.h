/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_SANDBOX_H
#define KEYD_SANDBOX_H

#include <stdbool.h>

#include <holdfast/err.h>

struct settings;

/*
 * What the daemon's process can still do when somebody else's code runs in it:
 * no program can be started, and nothing be written but in the folders of its
 * own files (Landlock); no connection be made to another machine (Landlock,
 * from Linux 6.7 on); no system call be made that it was never seen to need
 * (seccomp). The HSM's library lives in another process (hsm_process.h), and is
 * free of all this; where it lives inside, neither is turned on.
 *
 * Both hold for good.
 */
enum sandbox_mode { SANDBOX_AUTO, SANDBOX_ON, SANDBOX_OFF };

/*
 * Landlock. Before there are threads: they inherit it. The folders must exist.
 * SANDBOX_AUTO leaves it out where the kernel has none, and where the process
 * has CAP_SYS_PTRACE: under Landlock it could not see the programs of its
 * callers (/proc/PID/exe), for which an operator gave it that. SANDBOX_ON fails
 * with HF_ERR_SYSTEM where it cannot be had.
 */
enum hf_err sandbox_files(const struct settings *settings,
    enum sandbox_mode mode, struct hf_why *why);

/*
 * seccomp, for all threads; after everything is open. A call that is not on the
 * list fails with EPERM; one that starts programs or looks into processes ends
 * the process. SANDBOX_AUTO goes on with a warning where the kernel refuses.
 */
enum hf_err sandbox_calls(enum sandbox_mode mode, struct hf_why *why);

#endif
