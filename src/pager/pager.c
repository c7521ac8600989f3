// SPDX-License-Identifier: Apache-2.0
/*
 * pager.c - who fills a page that nobody has touched (theory: pager.h)
 */
#include "pager/pager.h"

void pager_init(struct pager *pager)
{
	pager->kind = PAGER_NONE;
	image_init(&pager->image, 0, NULL);
	uffd_init(&pager->uffd);
}

int pager_map(struct pager *pager, struct gmem *mem,
	      const struct gmem_spec *hot, enum gmem_pages pages,
	      struct image *image, struct err *err)
{
	pager->kind = PAGER_FILE;
	pager->image = *image;
	image_init(image, 0, NULL);
	return image_map(&pager->image, mem, hot, pages, err);
}

int pager_serve(struct pager *pager, struct gmem *mem, uint64_t size,
		const struct gmem_spec *hot, enum gmem_pages pages,
		const struct pager_server *server, struct err *err)
{
	int r = gmem_init(mem, size, pages, err);

	if (r == 0 && hot)
		r = gmem_add(mem, hot, err);
	pager->kind = PAGER_UFFD;
	mem->origin = GMEM_SERVED;
	pager->uffd.sandbox = server->sandbox;
	pager->uffd.lost = server->lost;
	if (r < 0)
		return r;
	return uffd_connect(&pager->uffd, mem, server->dev, server->sock,
			    server->loop, server->gone, server->ctx, err);
}

int pager_settle(struct pager *pager, int r, struct err *err)
{
	if (pager->kind == PAGER_UFFD && (r == 0 || uffd_is_lost(&pager->uffd)))
		return uffd_settle(&pager->uffd, err);
	return r;
}

bool pager_is_lost(const struct pager *pager)
{
	return uffd_is_lost(&pager->uffd);
}

const char *pager_truncated(const struct pager *pager)
{
	return image_truncated(&pager->image);
}

const char *pager_path_of(const struct pager *pager, int fd)
{
	return image_path_of(&pager->image, fd);
}

void pager_unwatch(struct pager *pager)
{
	uffd_unwatch(&pager->uffd);
}

void pager_mark(struct pager *pager)
{
	if (pager->kind == PAGER_UFFD)
		uffd_mark(&pager->uffd);
}

int pager_usage(struct pager *pager, struct usage *usage)
{
	return uffd_usage(&pager->uffd, usage);
}

int pager_served(struct pager *pager, struct served *served)
{
	return uffd_served(&pager->uffd, served);
}

int pager_watch_again(struct pager *pager)
{
	return uffd_watch_again(&pager->uffd);
}

void pager_stop(struct pager *pager)
{
	uffd_fini(&pager->uffd);
}

void pager_fini(struct pager *pager)
{
	pager_stop(pager);
	image_fini(&pager->image);
}
