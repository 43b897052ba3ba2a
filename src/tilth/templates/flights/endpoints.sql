-- POST /predict/late_api. A new version first answers in the shadow, then for a tenth of the requests, then for all.
CREATE ENDPOINT late_api FOR MODEL late
  ROLLOUT (shadow = '200 requests', canary = '10% for 300 requests', max_error_rate = '1%')
  OUTCOMES FROM departures (flight_id, arr_late);
