"""A model that was taught: judged without what its teacher saw, told, its teacher's licence signed, and served without the teacher."""

import json
from pathlib import Path

import shop_project
from tilth.runtime.loading import verified
from tilth.runtime.record import versions

DECLARED = (
    shop_project.DECLARED[: shop_project.DECLARED.index("CREATE MODEL late")]
    + "CREATE MODEL duration PREDICT minutes FROM deliveries FEATURES (carrier, distance, ordered_at)"
    " USING (engine = 'lightgbm', teacher = 'catboost', lightgbm.rounds = 5, time_limit = '5 min', max_row_time = '0.04 ms');"
)


def test_a_student_serves_where_it_is_better_and_what_is_kept_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.sql").write_text(DECLARED)
    shop_project.add(
        folder, shop_project.deliveries(0, 8)
    )  # 400 rows, each judged by a model of the other parts
    project = shop_project.opened(folder)
    assert not project.apply().refusals
    (one,) = project.sql("SELECT * FROM tilth.trainings").rows()
    assert (one["teacher"], one["teacher_license"]) == ("catboost", "Apache License, Version 2.0")
    assert one["loss_with"] < one["loss_without"]  # five rounds are little
    assert one["teacher_loss"] < one["loss_without"]
    assert one["lead_kept"] > 0.5
    sealed = verified(project.work(), versions.require(project.state(), "duration", 1))
    assert sealed.statement.facts["teacher"]["license"] == "Apache License, Version 2.0"
    assert sealed.statement.facts["teacher"]["name"] == "catboost"
    kept = json.loads(sealed.files["calibration.json"])
    assert {m["scorer"] for m in kept["members"]} == {"lightgbm"}
    assert not any("catboost" in name for name in sealed.files)
    texts = [r["text"] for r in project.sql("SELECT text FROM tilth.notices WHERE kind = 'teacher'").rows()]
    assert any("lead is" in t for t in texts)
    assert project.model("duration").predict(
        {"carrier": "slow", "distance": 30.0, "ordered_at": "2024-01-05T10:00:00"}
    )
    project.close()
