/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - a tiny guest that tells what KVM does with kernel code
 */
#pragma once

#include "base/err.h"
#include "cli/doctor.h"
#include "kvm/kvm.h"

/**
 * probe_run() - run the probe guests and measure
 *
 * Return: 0; -errno and a sentence when no guest runs at all.
 */
int probe_run(struct kvm *kvm, struct probe *probe,
	      struct err *err) __must_check;
