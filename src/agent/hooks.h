/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooks.h - programs of the image's, run when the guest is saved and when it
 * goes on
 *
 * A folder's files that are executable, in the order of their names, one after
 * the other: as root, in /, without input, what they write goes where the
 * agent's own words go. All of them have HOOKS_MS together, or less; then the
 * one that runs is killed, with its process group, and so is what is left.
 */
#pragma once

#include "base/err.h"

#define HOOKS_QUIESCE "/etc/volt/quiesce.d"
#define HOOKS_RESUME  "/etc/volt/resume.d"
#define HOOKS_MS      10000u
#define HOOKS_MAX     64u

/**
 * hooks_run() - those of the folder @path
 * @ms:		for all of them
 *
 * The first that fails is the last. Return: 0, also when there is no such
 * folder; -ETIMEDOUT; -ECANCELED when one ended with another code than 0;
 * -E2BIG; -errno; with a sentence.
 */
int hooks_run(const char *path, unsigned int ms, struct err *err) __must_check;
