from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("item", models.CharField(max_length=100)),
                ("is_reserved", models.BooleanField(default=False)),
                ("is_confirmed", models.BooleanField(default=False)),
            ],
        ),
    ]
