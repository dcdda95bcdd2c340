# What the tests of deployment share.

# same_actions A B: as many numbers, at least 15, of which none differs by more than 1e-5.
same_actions() {
    paste "$1" "$2" | awk '
        NF != 2 { odd = 1 }
        { d = $1 - $2; if (d < 0) d = -d; if (!(d <= most)) most = d; if ($1 != 0) some = 1 }
        END { printf "%d actions, differing by at most %g\n", NR, most; exit odd || !some || NR < 15 || !(most <= 1e-5) }'
}
