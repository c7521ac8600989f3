/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer.h - a tar archive goes on top of a tree
 *
 * As OCI layers do: ".wh.NAME" takes NAME of lower layers away, ".wh..wh..opq"
 * all that they have in its folder. Later entries replace earlier ones, a hard
 * link is one more name of what its path names now, also of a lower layer.
 *
 * Reference: OCI Image Format Specification 1.1, layer.md.
 */
#pragma once

#include "oci/flow.h"
#include "oci/fstree.h"

/**
 * layer_apply() - one layer
 * @flow:	its tar archive; read to its end
 *
 * Return: 0; -EINVAL, -EBADMSG, -EFBIG, -errno, with a sentence that names the
 * entry. The tree is of no use then.
 */
int layer_apply(struct fstree *tree, struct flow *flow,
		struct err *err) __must_check;
