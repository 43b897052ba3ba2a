-- POST /predict/late_api. A new version first answers in the shadow, then for a quarter of the requests, then for all.
CREATE ENDPOINT late_api FOR MODEL late
  ROLLOUT (shadow = '60 requests', canary = '25% for 40 requests', max_error_rate = '1%')
  OUTCOMES FROM departures (flight_id, arr_late);
