#!/usr/bin/env python3
"""What plays come to, calculated from the definitions in docs/insights.md alone: play by play, with Python's own time
zones. Reads a question with all plays as JSON from standard input and writes the answer that `insights` must give.
Nothing but the standard library."""

import json
import sys
import unicodedata
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def instant(ms):
    return EPOCH + timedelta(milliseconds=ms)


def folded(name):
    return " ".join(unicodedata.normalize("NFKC", name).lower().split())


def rate(part, whole):
    return round(part / whole, 4) if whole else None


def shown(ms):
    at = instant(ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S") + (f".{at.microsecond // 1000:03}" if at.microsecond else "") + "Z"


class Listener:
    def __init__(self, asked):
        self.zone = ZoneInfo(asked["zone"])
        self.first_day, self.last_day = date.fromisoformat(asked["from"]), date.fromisoformat(asked["to"])
        self.days = (self.last_day - self.first_day).days + 1
        self.top, self.now, self.gaps, self.watched = asked["top"], asked["now"], asked["gaps"], asked["watched"]
        self.plays = asked["plays"]
        for play in self.plays:
            play["local"] = instant(play["played_at"]).astimezone(self.zone)
            play["day"] = play["local"].date()
            track = play["track"]
            first = folded(track["artists"][0]) if track["artists"] else ""
            play["track_is"] = track["reference"] or (folded(track["title"]), first)
            play["artists_are"] = {}
            for name in track["artists"]:
                play["artists_are"].setdefault(folded(name), name)
            play["album_is"] = (folded(track["album"]), first) if track["album"] is not None else None
            known = play["ms_played"] if play["ms_played"] is not None else track["duration_ms"]
            play["ms"] = known or 0
        self.heard_on = {play["day"] for play in self.plays}
        self.first_heard = {}
        for play in sorted(self.plays, key=lambda play: play["played_at"]):
            self.first_heard.setdefault(play["track_is"], play["day"])

    def of(self, first, last):
        return [play for play in self.plays if first <= play["day"] <= last]

    def exists(self, day):
        """Whether any local time is of this day."""
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=timezone.utc)
        return any((noon + timedelta(hours=hour)).astimezone(self.zone).date() == day for hour in range(-40, 41))

    def begin_of(self, day):
        """The first millisecond of which the local day is `day` or later, looked for minute by minute."""
        at = datetime(day.year, day.month, day.day, tzinfo=timezone.utc) - timedelta(hours=30)
        while at.astimezone(self.zone).date() < day:
            at += timedelta(minutes=1)
        return (at - EPOCH) // timedelta(milliseconds=1)

    def totals(self, first, last):
        plays = self.of(first, last)
        tracks = {play["track_is"] for play in plays}
        return {
            "from": first.isoformat(),
            "to": last.isoformat(),
            "days": (last - first).days + 1,
            "plays": len(plays),
            "listened_ms": sum(play["ms"] for play in plays),
            "active_days": len({play["day"] for play in plays}),
            "tracks": len(tracks),
            "artists": len({artist for play in plays for artist in play["artists_are"]}),
            "albums": len({play["album_is"] for play in plays} - {None}),
            "new_tracks": sum(first <= self.first_heard[track] <= last for track in tracks),
        }

    def most(self, plays, named):
        """`named` gives of a play a list of (what it is, how it is named, its order among equal times)."""
        count, ms, latest = Counter(), Counter(), {}
        for play in plays:
            for what, name, order in named(play):
                count[what] += 1
                ms[what] += play["ms"]
                if what not in latest or (play["played_at"], order) >= latest[what][0]:
                    latest[what] = ((play["played_at"], order), name)
        entries = [(what, latest[what][1]) for what in count]
        entries.sort(key=lambda entry: (-count[entry[0]], -ms[entry[0]], entry[1][1]))
        return [
            dict(name[0], plays=count[what], listened_ms=ms[what]) for what, name in entries[: self.top]
        ]

    def track_named(self, play):
        track = play["track"]
        name = {"title": track["title"], "artists": track["artists"]}
        if track["reference"] is not None:
            name["ref"] = track["reference"]
        if track["album"] is not None:
            name["album"] = track["album"]
        order = [track["title"], track["artists"], track["album"] or "", track["genres"], track["duration_ms"] or -1]
        return [(play["track_is"], (name, [track["title"], track["reference"] or ""]), order)]

    def album_named(self, play):
        track = play["track"]
        if track["album"] is None:
            return []
        artist = track["artists"][0]
        name = {"title": track["album"], "artist": artist}
        return [(play["album_is"], (name, [track["album"], artist]), [track["album"], artist])]

    def streak(self, days):
        return {"days": len(days), "from": min(days).isoformat(), "to": max(days).isoformat()} if days else None

    def streaks(self):
        longest, run = [], []
        day = self.first_day
        while day <= self.last_day:
            if day in self.heard_on:
                run.append(day)
                if len(run) >= len(longest):
                    longest = list(run)
            elif self.exists(day):
                run = []
            day += timedelta(days=1)
        today = instant(self.now).astimezone(self.zone).date()
        current, day = [], min(self.last_day, today)
        if day == today and day not in self.heard_on:
            day -= timedelta(days=1)
        while today >= self.first_day and (day in self.heard_on or not self.exists(day)):
            if day in self.heard_on:
                current.append(day)
            day -= timedelta(days=1)
        found = {"current": self.streak(current), "longest": self.streak(longest)}
        return {name: streak for name, streak in found.items() if streak}

    def trend(self, now, before_first):
        bucket = next((days for days in (1, 7, 28) if days * 31 >= self.days), -(-self.days // 31))
        buckets = []
        for begin in range(0, self.days, bucket):
            end = min(begin + bucket, self.days) - 1
            sums = [
                self.of(first + timedelta(days=begin), first + timedelta(days=end))
                for first in (self.first_day, before_first)
            ]
            buckets.append({
                "from": (self.first_day + timedelta(days=begin)).isoformat(),
                "plays": len(sums[0]),
                "listened_ms": sum(play["ms"] for play in sums[0]),
                "previous_plays": len(sums[1]),
                "previous_listened_ms": sum(play["ms"] for play in sums[1]),
            })
        before = self.totals(before_first, self.first_day - timedelta(days=1))
        trend = {"previous": before, "bucket_days": bucket, "buckets": buckets}
        if before["plays"]:
            trend["plays_change"] = round(now["plays"] / before["plays"] - 1, 4)
        if before["listened_ms"]:
            trend["listened_change"] = round(now["listened_ms"] / before["listened_ms"] - 1, 4)
        return trend

    def coverage(self, plays):
        begin, end = self.begin_of(self.first_day), self.begin_of(self.last_day + timedelta(days=1))
        by_source = defaultdict(list)
        for play in self.plays:
            by_source[play["source"]].append(play["played_at"])
        if self.watched:
            by_source["poll"].extend(self.watched)
        touching = sorted(gap for gap in self.gaps if gap[0] < end and gap[1] > begin)
        known = [(min(times), max(times)) for times in by_source.values()]
        until = min(end, self.now)
        # Between two neighbours of these nothing changes.
        edges = {begin, until} | {edge for span in known for edge in span} | {edge for gap in touching for edge in gap[:2]}
        edges = sorted(edge for edge in edges if begin <= edge <= until)
        covered = 0
        for one, other in zip(edges, edges[1:]):
            is_known = any(first <= one and other <= last for first, last in known)
            is_missed = any(gap[0] <= one and other <= gap[1] for gap in touching)
            covered += (other - one) if is_known and not is_missed else 0
        times = [play["played_at"] for play in self.plays]
        coverage = {
            "gap_count": len(touching),
            "sources": {
                source: sum(play["source"] == source for play in plays) for source in ("poll", "import")
            },
        }
        if times:
            coverage |= {"first_play": shown(min(times)), "last_play": shown(max(times))}
        if until > begin:
            coverage["rate"] = round(covered / (until - begin), 4)
        if touching:
            coverage["gaps"] = [
                {"from": shown(gap[0]), "to": shown(gap[1]), "reason": gap[2]} for gap in touching[:20]
            ]
        return coverage

    def answer(self):
        plays = self.of(self.first_day, self.last_day)
        now = self.totals(self.first_day, self.last_day)
        hours = [[0] * 24 for _ in WEEKDAYS]
        for play in plays:
            hours[play["local"].weekday()][play["local"].hour] += 1
        exact = [play for play in plays if play["ms_played"] is not None]
        rest = [play for play in plays if play["ms_played"] is None]
        by_length = [play for play in rest if play["track"]["duration_ms"] is not None]
        unknown = len(rest) - len(by_length)
        kinds = [bool(exact), bool(by_length), bool(unknown)]
        words = {(False, False, False): "no_plays", (True, False, False): "exact"}
        words |= {(False, True, False): "by_track_length", (False, False, True): "unknown"}
        repeats = now["plays"] - now["tracks"]
        skips = [play["skipped"] for play in plays if play["skipped"] is not None]
        known_first = min((play["day"] for play in sorted(self.plays, key=lambda play: play["played_at"])[:1]), default=self.first_day)
        answer = {
            "provider": "spotify",
            "zone": self.zone.key,
            "totals": now,
            "listening": {
                "basis": words.get(tuple(kinds), "mixed"),
                "exact_plays": len(exact),
                "exact_ms": sum(play["ms"] for play in exact),
                "by_length_plays": len(by_length),
                "by_length_ms": sum(play["ms"] for play in by_length),
                "unknown_plays": unknown,
            },
            "top_tracks": self.most(plays, self.track_named),
            "top_artists": self.most(
                plays, lambda play: [(key, ({"name": name}, [name]), name) for key, name in play["artists_are"].items()]
            ),
            "top_albums": self.most(plays, self.album_named),
            "hours": hours,
            "streaks": self.streaks(),
            "discovery": {
                "new_tracks": now["new_tracks"],
                "known_days_before": max((self.first_day - known_first).days, 0),
            },
            "repeats": {"plays": repeats},
            "trend": self.trend(now, self.first_day - timedelta(days=self.days)),
            "coverage": self.coverage(plays),
        }
        genres = self.most(plays, lambda play: [(folded(name), ({"name": name}, [name]), name) for name in play["track"]["genres"]])
        if genres:
            answer["top_genres"] = genres
        if plays:
            best = max(max(row) for row in hours)
            weekday, hour = next((d, h) for d in range(7) for h in range(24) if hours[d][h] == best)
            answer["busiest"] = {"weekday": WEEKDAYS[weekday], "hour": hour, "plays": best}
            answer["discovery"]["rate"] = rate(now["new_tracks"], now["tracks"])
            answer["repeats"]["rate"] = rate(repeats, now["plays"])
        if skips:
            answer["skips"] = {"known_plays": len(skips), "skipped": sum(skips), "rate": rate(sum(skips), len(skips))}
        return answer


json.dump(Listener(json.load(sys.stdin)).answer(), sys.stdout)
