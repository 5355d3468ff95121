#!/bin/sh
# run.sh FOLDER BUILD: what `make run` does. Every regular file under FOLDER goes through manifest.c on three executors; then a
# table, and a last line that says whether they agree. BUILD/run/ keeps the manifest (manifest.jsonl) and a list that
# `sha256sum -c` accepts (SHA256SUMS). Exit: 0 they agree; 1 they do not, or a file could not be read; 2 no such folder.
set -u
export LC_ALL=C
folder=${1:-/usr/share/doc}
build=${2:-build}
here=$(dirname "$0")
executors="inline threads processes"

fail()
{
    echo "make run: $1" >&2
    exit 2
}

now()
{
    date +%s%N
}

[ -d "$folder" ] || fail "$folder: no such folder"
[ -r "$folder" ] && [ -x "$folder" ] || fail "$folder: permission denied"
out=$build/run
mkdir -p "$out" || fail "$out cannot be made"

# In the order of their names, so that the manifest is the same every time. A folder that find cannot enter is told by find.
find "$folder" -type f -print0 >"$out/found"
partial=$?
sort -z "$out/found" >"$out/files" || fail "$out: cannot write"
rm -f "$out/found"
files=$(tr -dc '\000' <"$out/files" | wc -c)
[ "$files" -gt 0 ] || fail "$folder: no files in it"

# Compiling and the first reading from the disk are not what is compared.
"$build/yoke" ls "$here/manifest.c" >/dev/null || fail "examples/manifest/manifest.c did not load"
xargs -0 cat <"$out/files" >/dev/null 2>&1

status=0
: >"$out/times"
for executor in $executors; do
    echo "$files files on $executor" >&2
    start=$(now)
    "$build/yoke" map "$here/manifest.c:entry" --on "$executor" --null --input text <"$out/files" >"$out/$executor.jsonl"
    code=$?
    end=$(now)
    [ "$code" -le 1 ] || { echo "make run: yoke map on $executor ended with $code" >&2; exit "$code"; }
    [ "$code" = 0 ] || status=1
    echo "$executor $start $end" >>"$out/times"
done

mv "$out/inline.jsonl" "$out/manifest.jsonl"
agree=yes
for executor in threads processes; do
    if cmp -s "$out/manifest.jsonl" "$out/$executor.jsonl"; then
        rm -f "$out/$executor.jsonl"
    else
        agree=no # both stay, to be compared
        status=1
    fi
done
[ "$partial" = 0 ] || status=1

# The list, out of the JSON: sha256sum wants a line to begin with a backslash when its name has an escaped one or a newline.
sed -n 's/.*"sha256":"\([0-9a-f]\{64\}\)","path":"\(.*\)"}$/\1  \2/p' "$out/manifest.jsonl" | awk '
    /\\/ {
        gsub(/\\\\/, "\n") # no raw newline is in here, so one can stand for a backslash
        gsub(/\\"/, "\"")
        escaped = index($0, "\n") || /\\u000a/
        for (i = 1; i < 32; i++)
            if (i != 10)
                gsub("\\\\u" sprintf("%04x", i), sprintf("%c", i))
        n = split($0, part, "\n")
        line = part[1]
        for (i = 2; i <= n; i++)
            line = line "\\\\" part[i]
        n = split(line, part, "\\\\u000a")
        line = part[1]
        for (i = 2; i <= n; i++)
            line = line "\\n" part[i]
        $0 = (escaped ? "\\" : "") line
    }
    { print }' >"$out/SHA256SUMS"
bytes=$(sed -n 's/^{"bytes":\([0-9]*\),.*/\1/p' "$out/manifest.jsonl" | awk '{ n += $1 } END { printf "%.0f", n }')
entries=$(wc -l <"$out/manifest.jsonl")

awk -v files="$entries" -v bytes="$bytes" '
    BEGIN { printf "\n%-10s %9s %13s %9s %9s %9s\n", "executor", "files", "bytes", "seconds", "MB/s", "speed-up" }
    {
        seconds = ($3 - $2) / 1e9
        if (NR == 1)
            first = seconds
        printf "%-10s %9d %13.0f %9.3f %9.1f %9.2f\n", $1, files, bytes, seconds, bytes / 1e6 / seconds, first / seconds
    }' "$out/times"
echo
[ "$entries" -eq "$files" ] || echo "$((files - entries)) of $files files could not be read"
sum=$(sha256sum <"$out/manifest.jsonl")
echo "executors agree: $agree ($entries files, $bytes bytes, manifest sha256 ${sum%% *})"
exit "$status"
