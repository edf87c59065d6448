/* SPDX-License-Identifier: Apache-2.0 */
#include "session_object.h"

#include "attribute.h"
#include "error.h"
#include "module.h"
#include "session.h"
#include "shelf.h"

/* What points to it, or to the end. Under the lock. */
static struct object **
session_object_link(struct session *session, CK_OBJECT_HANDLE handle)
{
	struct object **link = &session->table->objects;

	while (*link != NULL &&
	    ((*link)->handle != handle || (*link)->slot != session->slot))
		link = &(*link)->next;
	return link;
}

struct object *
session_object_get(struct session *session, CK_OBJECT_HANDLE handle)
{
	struct object *o;

	module_lock();
	o = *session_object_link(session, handle);
	if (o != NULL)
		(void)shelf_ref(o->shelf);
	module_unlock();
	return o;
}

CK_RV
session_object_add(
    struct session *session, const struct object *from, CK_OBJECT_HANDLE *out)
{
	struct object *o;
	enum hf_err err = shelf_make_one(from, &o);

	if (err != HF_OK)
		return rv_of(err);
	o->slot = session->slot;
	o->session = session->handle;
	module_lock();
	o->handle = session->table->next_object++;
	o->next = session->table->objects;
	session->table->objects = o;
	*out = o->handle;
	module_unlock();
	return CKR_OK;
}

static void
unlink_object(struct object **link)
{
	struct object *o = *link;

	*link = o->next;
	shelf_put(o->shelf);
}

bool
session_object_remove(struct session *session, CK_OBJECT_HANDLE handle)
{
	struct object **link;
	bool found;

	module_lock();
	link = session_object_link(session, handle);
	found = *link != NULL;
	if (found)
		unlink_object(link);
	module_unlock();
	return found;
}

CK_RV
session_object_change(struct session *session, const struct object *to)
{
	struct object **link, *o;
	bool found;
	enum hf_err err = shelf_make_one(to, &o);

	if (err != HF_OK)
		return rv_of(err);
	module_lock();
	link = session_object_link(session, to->handle);
	found = *link != NULL;
	if (found) {
		o->next = (*link)->next;
		shelf_put((*link)->shelf);
		*link = o;
	}
	module_unlock();
	if (!found) /* another thread destroyed it */
		shelf_put(o->shelf);
	return found ? CKR_OK : CKR_OBJECT_HANDLE_INVALID;
}

void
session_objects_drop(struct session_table *table, CK_SESSION_HANDLE session)
{
	struct object **link = &table->objects;

	while (*link != NULL)
		if ((*link)->session == session)
			unlink_object(link);
		else
			link = &(*link)->next;
}

void
session_objects_free(struct session_table *table)
{
	while (table->objects != NULL)
		unlink_object(&table->objects);
}

/* -- Search -- */

size_t
session_objects_count(const struct session *session)
{
	size_t n = 0;

	module_lock();
	for (const struct object *o = session->table->objects; o != NULL;
	     o = o->next)
		n += o->slot == session->slot;
	module_unlock();
	return n;
}

/* Another thread may have made more since they were counted. */
void
session_objects_collect(struct session *session, size_t room,
    const CK_ATTRIBUTE *template, CK_ULONG count)
{
	bool private = session_sees_private(session);

	module_lock();
	for (const struct object *o = session->table->objects; o != NULL;
	     o = o->next)
		if (o->slot == session->slot && (private || !o->private) &&
		    session->found_count < room &&
		    attribute_match(o, template, count))
			session->found[session->found_count++] = o->handle;
	module_unlock();
}
