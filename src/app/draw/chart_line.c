#include "app/draw/chart_line.h"

#include "base/memory.h"

#include <math.h>

static void put(hl_line *l, hl_line_place at)
{
    if (l->points && at.x == l->end.x && at.y == l->end.y)
        return;
    hl_text_appendf(&l->path, "%s%.1f %.1f", l->points ? "L" : "M", at.x, at.y);
    if (!l->points++)
        l->begin = at;
    l->end = at;
}

static void flush_column(hl_line *l)
{
    const hl_line_column *c = &l->column;
    if (!c->any)
        return;
    put(l, c->first);
    put(l, c->least_first ? c->least : c->most);
    put(l, c->least_first ? c->most : c->least);
    put(l, c->last);
    l->column.any = false;
}

static void end_run(hl_line *l)
{
    flush_column(l);
    if (l->points == 1)
        hl_text_appendf(&l->dots, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>\n", l->dot_class,
                        l->begin.x, l->begin.y);
    l->points = 0;
    l->gap = false;
}

void hl_line_to(hl_line *l, double x, double y)
{
    hl_line_place at = {x, y};
    hl_line_column *c = &l->column;
    double pixel = floor(x);
    if (!c->any || pixel != c->at) {
        if (l->gap && fabs(x - c->last.x) >= 1)
            end_run(l);
        flush_column(l);
        *c = (hl_line_column){.at = pixel, .first = at, .least = at, .most = at, .last = at, .any = true};
    }
    l->gap = false;
    c->last = at;
    if (at.y < c->least.y) {
        c->least = at;
        c->least_first = false;
    }
    if (at.y > c->most.y) {
        c->most = at;
        c->least_first = true;
    }
}

void hl_line_lift(hl_line *l)
{
    l->gap = true;
}

void hl_line_append(hl_line *l, hl_text *t, const char *line_class)
{
    end_run(l);
    char *path = hl_text_take(&l->path), *dots = hl_text_take(&l->dots);
    if (path && dots)
        hl_text_appendf(t, "<path class=\"%s\" d=\"%s\"/>\n%s", line_class, path, dots);
    else
        t->failed = true;
    hl_free(path);
    hl_free(dots);
    *l = (hl_line){.dot_class = l->dot_class};
}
