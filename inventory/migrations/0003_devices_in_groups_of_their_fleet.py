import django.db.models.deletion
from django.db import migrations, models

# What the foreign keys of devices point to; sites and batches are few.
_GROUPS_OF_A_FLEET = """
ALTER TABLE inventory_site ADD CONSTRAINT site_in_its_fleet UNIQUE (fleet_id, id);
ALTER TABLE inventory_batch ADD CONSTRAINT batch_in_its_fleet UNIQUE (fleet_id, id);
"""
_FORGET_GROUPS_OF_A_FLEET = """
ALTER TABLE inventory_batch DROP CONSTRAINT batch_in_its_fleet;
ALTER TABLE inventory_site DROP CONSTRAINT site_in_its_fleet;
"""


def _of_its_fleet(group):
    name = f"device_{group}_of_its_fleet"
    return [
        migrations.RunSQL(
            f"ALTER TABLE inventory_device ADD CONSTRAINT {name} FOREIGN KEY (fleet_id, {group}_id)"
            f" REFERENCES inventory_{group} (fleet_id, id) NOT VALID",
            f"ALTER TABLE inventory_device DROP CONSTRAINT {name}",
        ),
        # Reads every device, beside whoever writes them.
        migrations.RunSQL(f"ALTER TABLE inventory_device VALIDATE CONSTRAINT {name}", migrations.RunSQL.noop),
    ]


class Migration(migrations.Migration):
    """A device stands at a site and belongs to a batch of its own fleet. Each step by itself, none holds up writers."""

    atomic = False

    dependencies = [("inventory", "0002_alerts_about_channels")]

    operations = [
        migrations.RunSQL(_GROUPS_OF_A_FLEET, _FORGET_GROUPS_OF_A_FLEET),
        *_of_its_fleet("site"),
        *_of_its_fleet("batch"),
        # The foreign keys of one column, which say less, go.
        migrations.AlterField(
            model_name="device",
            name="site",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="devices",
                to="inventory.site",
                verbose_name="site",
            ),
        ),
        migrations.AlterField(
            model_name="device",
            name="batch",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="devices",
                to="inventory.batch",
                verbose_name="batch",
            ),
        ),
    ]
