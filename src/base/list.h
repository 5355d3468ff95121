/* list: members that leave in one step from wherever they stand. Each has the next one and LINK, the place that points at it; the
 * head is a plain pointer. The names of both fields are the caller's, so that one struct can be in several lists.
 *
 *     YK_LIST_ENTER(&loop->all, co, all_next, all_link);  ...  YK_LIST_LEAVE(co, all_next, all_link);
 *
 * LINK is NULL after leaving; whoever asks for that has it NULL before. The arguments are evaluated several times. */
#ifndef YK_BASE_LIST_H
#define YK_BASE_LIST_H

/* As the first. */
#define YK_LIST_ENTER(head, member, NEXT, LINK)                                                                        \
    do {                                                                                                               \
        (member)->NEXT = *(head);                                                                                      \
        (member)->LINK = (head);                                                                                       \
        if ((member)->NEXT)                                                                                            \
            (member)->NEXT->LINK = &(member)->NEXT;                                                                    \
        *(head) = (member);                                                                                            \
    } while (0)

#define YK_LIST_LEAVE(member, NEXT, LINK)                                                                              \
    do {                                                                                                               \
        *(member)->LINK = (member)->NEXT;                                                                              \
        if ((member)->NEXT)                                                                                            \
            (member)->NEXT->LINK = (member)->LINK;                                                                     \
        (member)->LINK = NULL;                                                                                         \
    } while (0)
#endif
