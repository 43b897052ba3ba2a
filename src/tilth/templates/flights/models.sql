-- Arrives more than 30 minutes late? Asked when the departure is planned: what is known only later is left out.
CREATE MODEL late
  PREDICT arr_late
  FROM departures
  FEATURES (* EXCEPT (flight, tailnum, dep_delay, arr_delay, air_time))
  OBJECTIVE (metric = 'roc_auc', minimum = 0.60, label_delay = '1 day')
  USING (engine = 'auto', time_limit = '60 s', seed = 7)
  RETRAIN WHEN drift > 0.2 OR quality < 0.60 OR age > '45 days'
  PROMOTE IF not_worse_by(0.01);

-- Minutes in the air, for the crew plan.
CREATE MODEL airborne
  PREDICT air_time
  FROM departures
  FEATURES (carrier, origin, dest, distance, sched_dep, wind_speed)
  OBJECTIVE (metric = 'mae')
  USING (engine = 'linear')
  PROMOTE IF not_worse_by(0.2);
