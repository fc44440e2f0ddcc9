import django.db.models.deletion
from django.db import migrations, models

# A device has a few certificates, and theirs stand apart in the table: from a sample PostgreSQL concludes that there are
# a hundred thousand devices of fifty certificates each, and plans joins for that.
DEVICES = "ALTER TABLE inventory_certificate ALTER COLUMN device_id SET (n_distinct = -0.35)"
FORGET_DEVICES = "ALTER TABLE inventory_certificate ALTER COLUMN device_id RESET (n_distinct)"


class Migration(migrations.Migration):
    dependencies = [("inventory", "0010_one_index_of_serials")]

    operations = [
        migrations.AddIndex(
            model_name="certificate",
            index=models.Index(fields=["device", "id"], name="certificate_of_device"),
        ),
        migrations.AlterField(
            model_name="certificate",
            name="device",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="certificates",
                to="inventory.device",
                verbose_name="device",
            ),
        ),
        migrations.AddIndex(
            model_name="certificatecount",
            index=models.Index(fields=["axis", "group_id", "day"], name="certificatecount_of_group"),
        ),
        migrations.RemoveIndex(model_name="certificate", name="certificate_standing"),
        migrations.AddIndex(
            model_name="certificate",
            index=models.Index(
                condition=models.Q(state__in=["issued", "confirmed"]),
                fields=["device", "issued_at", "id"],
                include=["not_after"],
                name="certificate_standing",
            ),
        ),
        migrations.RunSQL(DEVICES, FORGET_DEVICES),
    ]
