-- One row for each departure, with the weather of its hour and what is known of its plane.
CREATE DATASET departures
  KEY (flight_id)
  EVENT TIME sched_dep
  REFRESH EVERY '1 day' INCREMENTAL LOOKBACK '2 days'
  EXPECT (
    origin IN ('JFK', 'LGA', 'EWR')            ON FAIL QUARANTINE,
    distance BETWEEN 10 AND 6000               ON FAIL QUARANTINE,
    dep_delay BETWEEN -120 AND 1500            ON FAIL QUARANTINE,
    arr_delay BETWEEN -180 AND 1500            ON FAIL QUARANTINE,
    ABS(arr_delay - dep_delay) <= 240          ON FAIL QUARANTINE,
    air_time BETWEEN 10 AND 800                ON FAIL QUARANTINE,
    sched_arr > sched_dep                      ON FAIL QUARANTINE,
    carrier IS NOT NULL                        ON FAIL STOP,
    COUNT(*) >= 500                            ON FAIL STOP,
    AVG(arr_delay) BETWEEN -30 AND 60          ON FAIL STOP,
    arr_late = (arr_delay > 30)                ON FAIL QUARANTINE,
    AVG(CAST(temp IS NULL AS INTEGER)) < 0.1   ON FAIL WARN,
    -- FRESH WITHIN '2 days'                   ON FAIL WARN,  -- for a live database: these flights ended in 2013
    AVG(CAST(seats IS NULL AS INTEGER)) < 0.25 ON FAIL WARN
  )
  TAG (tailnum = 'asset')
AS
SELECT
  f.flight_id, f.sched_dep, f.sched_arr, f.carrier, f.flight, f.tailnum, f.origin, f.dest, f.distance,
  w.temp, w.dewp, w.humid, w.wind_speed, w.wind_gust, w.precip, w.pressure, w.visib,
  TRY_CAST(p.year AS INTEGER) AS built, p.manufacturer, p.seats,
  f.dep_delay, f.arr_delay, f.air_time, f.arr_late
FROM ops.flights AS f
ASOF LEFT JOIN (SELECT * FROM wx.weather WHERE temp IS NOT NULL) AS w ON f.origin = w.origin AND f.sched_dep >= w.time_hour
LEFT JOIN wx.planes AS p ON f.tailnum = p.tailnum
WHERE f.arr_delay IS NOT NULL;  -- a flight that never arrived has no truth to learn

-- The flights that are planned, with the same columns: what the model is asked about.
CREATE DATASET planned
  KEY (flight_id)
  EVENT TIME sched_dep
AS
SELECT
  f.flight_id, f.sched_dep, f.sched_arr, f.carrier, f.flight, f.tailnum, f.origin, f.dest, f.distance,
  w.temp, w.dewp, w.humid, w.wind_speed, w.wind_gust, w.precip, w.pressure, w.visib,
  TRY_CAST(p.year AS INTEGER) AS built, p.manufacturer, p.seats
FROM ops.schedule AS f
ASOF LEFT JOIN (SELECT * FROM wx.weather WHERE temp IS NOT NULL) AS w ON f.origin = w.origin AND f.sched_dep >= w.time_hour
LEFT JOIN wx.planes AS p ON f.tailnum = p.tailnum;
