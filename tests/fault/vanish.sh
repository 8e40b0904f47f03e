#!/bin/bash
# vanish: files and folders disappear, change and are replaced while they are read; when it is quiet the next pass makes
# both sides the same.
# limit: 120
. "$(dirname "$0")/lib.sh"

src=$work/from dst=$work/to
mkdir "$src"
small_files "$src/small" 40 100
big_files "$src/big" 4 30
odd_files "$src/odd"
fleet_up
link_rate dst 200mbit

python3 - "$src" "$work/quiet" <<'END' &
import os, random, shutil, sys, time
top, quiet = sys.argv[1:3]
r = random.Random(7)
n = 0
while not os.path.exists(quiet):
    n += 1
    d = f"{top}/small/d{r.randrange(40)}"
    f = f"{d}/f{r.randrange(100)}"
    try:
        what = r.randrange(8)
        if what == 0: os.unlink(f)
        elif what == 1: open(f, "ab").write(b"more")
        elif what == 2: os.truncate(f, 10)
        elif what == 3: open(f + ".new", "w").write("new"); os.rename(f + ".new", f)
        elif what == 4: shutil.rmtree(d); os.mkdir(d)
        elif what == 5: os.rename(d, f"{d}-moved{n}")
        elif what == 6: os.unlink(f); os.symlink("elsewhere", f)
        elif n % 50 == 0: os.truncate(f"{top}/big/big{r.randrange(1, 5)}", r.randrange(20 << 20))
    except OSError:
        pass
    time.sleep(0.002)
END
churn=$!
later "kill $churn"
job_start vanish "$src" "$dst" --delete
until_true 60 "job vanish has ended" job_ended vanish
touch "$work/quiet" && wait $churn
link_rate dst off
case $(job_state vanish) in
done) ;;
partial) said vanish "another pass" ;;
*) godwit job report vanish || true; fail "a tree in motion gave '$(job_state vanish)'" ;;
esac
no_temporaries "$dst"
passed "a tree in motion ($(job_state vanish), $(report vanish .totals.failed) failed)"
godwit job start vanish >/dev/null
job_end vanish 60 done
same "$src" "$dst"
no_temporaries "$dst"
passed "quiet again: both sides are the same"

say "the whole source vanishes"
job_start gone "$src" "$work/to2"
job_end gone 60 done
mv "$src" "$work/elsewhere"
godwit job start gone >/dev/null
job_end gone 60 failed
said gone "No such file or directory"
same "$work/elsewhere" "$work/to2"
passed "a source that is gone removes nothing and is named"
mkdir "$src"
godwit job start gone >/dev/null
job_end gone 60 done
same "$work/elsewhere" "$work/to2" --omit-dir-times
passed "an empty source removes nothing that it was not told to"
say done
