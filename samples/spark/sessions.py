"""A log and a catalogue as session records, on Spark: the sessions of `kdb import --format events`.

    spark-submit samples/spark/sessions.py LOG ITEMS OUT [DOMAIN] [GAP_SECONDS] [EVENTS]

LOG is CSV with the columns user_id, item_id, timestamp (ISO 8601 with a zone, or Unix seconds) and event_type,
ITEMS with item_id, title and category; EVENTS has commas between. OUT becomes a folder of JSON lines, one session a
line: `cat OUT/part-* | kdb import --format jsonl` goes on from there. Rows without a user, an item or a time are
left out and counted on stderr, items without a title left out. Events of one millisecond are in the order of their
items. The executors need the package kdb, which cleans titles and reads categories.
"""

import sys

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from kdb.records import SCHEMA_VERSION
from kdb.sources.categories import parse
from kdb.sources.titles import PLACEHOLDERS, clean_title

MIN_ITEMS, MAX_ITEMS = 2, 20


def read_events(spark: SparkSession, path: str, kinds: list[str]) -> DataFrame:
    """`user`, `item` and `time` (Unix milliseconds) of each event of these kinds, all kinds where none is named."""
    rows = spark.read.csv(path, header=True)
    if kinds:
        rows = rows.where(F.col("event_type").isin(kinds))
    number = F.expr("try_cast(timestamp as double)") * 1000
    iso = F.expr("try_to_timestamp(timestamp)").cast("double") * 1000
    events = rows.select(
        identity("user_id").alias("user"),
        identity("item_id").alias("item"),
        F.coalesce(number, iso).cast("long").alias("time"),
    )
    whole = events.dropna()
    print(f"{events.count() - whole.count()} rows without a user, an item or a time", file=sys.stderr)
    return whole


def identity(name: str) -> F.Column:
    """An id without blanks around, null where it is missing."""
    text = F.trim(name)
    return F.when(~F.lower(text).isin(*PLACEHOLDERS), text)


def to_sessions(events: DataFrame, catalogue: DataFrame, domain: str, gap: int) -> DataFrame:
    """One row for each session; an item stands in it once, where it was first."""
    of_user = Window.partitionBy("user").orderBy("time")
    pause = F.col("time") - F.lag("time").over(of_user)
    numbered = events.withColumn("new", F.when(pause <= gap * 1000, 0).otherwise(1))
    numbered = numbered.withColumn("session", F.sum("new").over(of_user.rowsBetween(Window.unboundedPreceding, 0)))
    first = numbered.groupBy("user", "session", "item").agg(F.min("time").alias("first"))
    titled = first.join(catalogue, "item")
    products = F.sort_array(F.collect_list(F.struct("first", F.col("item").alias("id"), "title", "category")))
    grouped = titled.groupBy("user", "session").agg(products.alias("products"))
    begun = numbered.groupBy("user", "session").agg(F.floor(F.min("time") / 1000).alias("time"))
    kept = grouped.join(begun, ["user", "session"]).where(F.size("products").between(MIN_ITEMS, MAX_ITEMS))
    items = F.transform("products", lambda product: product.dropFields("first"))
    return kept.select(
        F.lit("session").alias("kind"),
        F.lit(SCHEMA_VERSION).alias("v"),
        F.concat_ws("@", "user", "time").alias("id"),
        F.lit(domain).alias("domain"),
        items.alias("items"),
        "user",
        "time",
    )


def main(log: str, items: str, out: str, domain: str = "shop", gap: str = "1800", events: str = "") -> None:
    spark = SparkSession.builder.appName("sessions").getOrCreate()
    paths = T.ArrayType(T.ArrayType(T.StringType()))
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    clean, read = F.udf(lambda text: clean_title(text or "")), F.udf(lambda text: parse(text or ""), paths)
    catalogue = (
        spark.read.csv(items, header=True, escape='"')
        .select(
            identity("item_id").alias("item"), clean("title").alias("title"), read("category").alias("category")
        )
        .where("title <> ''")
    )
    kinds = [kind for kind in events.split(",") if kind]
    to_sessions(read_events(spark, log, kinds), catalogue, domain, int(gap)).write.json(out)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
